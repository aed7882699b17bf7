"""A run whose record fails: no put without an intent, the snapshot restored, and a fault until a person has looked."""

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import BeamControlError, JournalError
from beamctl.run.events import Outcome, Restored, Stepped
from beamctl.store.states import RunState

SPOILT = ["PRAGMA max_page_count=1", "PRAGMA query_only=ON"]
LONG = {"target_mm": 0.011, "max_steps": 30}


@pytest.mark.parametrize("pragma", SPOILT, ids=["full", "read-only"])
@pytest.mark.parametrize("step", [0, 1, 3])
def test_no_put_without_an_intent(rig, book, pragma, step, no_put_unannounced):
    def spoil(event):
        if isinstance(event, Stepped) and event.step == step:
            book.pragma = pragma
            sent.append(len(rig.puts))

    sent = []
    rig.on_event = spoil
    run = rig.run(SvdAgent(), record=book.record, **LONG)
    result = run.execute()
    book.pragma = ""
    assert result.outcome is Outcome.FAILED
    assert run.state is RunState.FAULT
    assert result.restored
    assert rig.off() == set()
    assert rig.breaches() == []
    toward = dict(rig.start.items())
    if pragma == SPOILT[1]:
        assert all(abs(p.value - toward[p.pv]) <= abs(p.before - toward[p.pv]) for p in rig.puts[sent[0] :])


@pytest.mark.parametrize("pragma", SPOILT, ids=["full", "read-only"])
def test_nothing_is_written_where_the_snapshot_cannot_be(rig, book, pragma):
    book.pragma = pragma
    try:
        rig.run(record=book.record).execute()
    except BeamControlError:
        assert rig.puts == []
    else:
        assert rig.off() == set() or pragma == SPOILT[0]


@pytest.mark.parametrize("method", ["armed", "state", "visited", "intend", "measured_again"])
def test_each_method_that_fails_once(rig, book, method):
    """Whatever could not be written: the run ends and is restored, or never began."""
    sound = getattr(book.record, method)
    count = []

    def fail(*args):
        count.append(True)
        if len(count) == 2 or method == "armed":
            raise JournalError("injected")
        return sound(*args)

    setattr(book.record, method, fail)
    if method == "measured_again":
        rig.on_event = lambda event: (
            (rig.permit(False), rig.clock.after(5.0, lambda: rig.permit(True)))
            if isinstance(event, Stepped) and event.step in (1, 2)
            else None
        )
    run = rig.run(SvdAgent(), record=book.record, **LONG)
    if method == "armed":
        with pytest.raises(JournalError):
            run.execute()
        assert rig.puts == []
        return
    result = run.execute()
    assert len(count) >= 2
    assert result.restored
    assert run.state is RunState.FAULT
    assert rig.off() == set()


def test_the_section_is_somebody_elses(rig, book):
    """An owner that was fenced off writes nothing more, not even a restore."""

    def lose(event):
        if isinstance(event, Stepped) and event.step == 1:
            book.lease.release()
            book.store.leases.section("s")
            sent.append(len(rig.puts))

    sent = []
    rig.on_event = lose
    run = rig.run(SvdAgent(), record=book.record, **LONG)
    assert run.execute().outcome is Outcome.HALTED
    assert len(rig.puts) == sent[0]
    assert rig.of(Restored) == []


def test_settling_that_fails_leaves_the_run_alone(rig, book, monkeypatch):
    """An intent that stays open is taken for unknown; the machine itself is where it shall be."""
    monkeypatch.setattr(book.store.journal, "settle", lambda _: (_ for _ in ()).throw(JournalError("injected")))
    result = rig.run(record=book.record).execute()
    assert result.outcome in (Outcome.REACHED, Outcome.FAILED)
    if result.outcome is Outcome.FAILED:
        assert {line.outcome for line in result.restore} == {RestoreOutcome.RESTORED}
        assert rig.off() == set()
