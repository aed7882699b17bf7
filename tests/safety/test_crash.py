"""The process is gone at any instant, and a new one finds what it has left: every knob restored, or reported.

A dead process does nothing more: from the instant of its death every call that it makes fails.
"""

import contextlib

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.base import Outcome
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import HaltedError
from beamctl.run.events import Stepped
from beamctl.run.orders import Orders
from beamctl.run.recovery import Recovered
from beamctl.store.states import RunState, Verb

LONG = {"target_mm": 0.011, "max_steps": 3}
GOOD = {RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED}
METHODS = ("intend", "settle", "armed", "state", "visited", "measured_again", "restored", "taken_over")


class Killed(BaseException):
    """kill -9."""


class Death:
    """Kills the process at the n-th of all calls of engine, machine and record.

    Attributes:
        count: calls so far.
    """

    def __init__(self, rig, record, at: int) -> None:
        self.count = 0
        self.at = at
        self.is_dead = False
        rig.engine.before = rig.engine.after = lambda *_: self.tick()
        rig.on_put = lambda _: self.tick()
        for name in METHODS:
            setattr(record, name, self._mortal(getattr(record, name)))

    def _mortal(self, method):
        def call(*args):
            self.tick()
            answer = method(*args)
            self.tick()
            return answer

        return call

    def tick(self) -> None:
        self.count += 1
        self.is_dead |= self.count == self.at
        if self.is_dead:
            raise Killed


def lived(rig, book, at=-1, **run) -> Death:
    """A run that dies at an instant."""
    death = Death(rig, book.record, at)
    with contextlib.suppress(Killed):
        rig.run(SvdAgent(), record=book.record, **LONG, **run).execute()
    rig.on_put = lambda _: None
    rig.on_event = lambda _: None
    return death


def outcomes(recovered: Recovered) -> dict[str, RestoreOutcome]:
    return {line.setpoint_pv: line.outcome for line in recovered.lines}


def is_all_back(rig, recovered: Recovered) -> bool:
    return recovered.state is RunState.RESTORED and rig.off() == set() and set(outcomes(recovered).values()) <= GOOD


@pytest.fixture
def dead_in_mid_run(rig, book):
    """Killed while the third group was on its way: some of its puts have arrived."""

    def die(rig=rig):
        def kill(put):
            if len(rig.puts) == 24:
                killed.append(True)
                raise Killed

        killed = []

        class Dead:
            def __getattr__(self, name):
                method = getattr(sound, name)

                def call(*args):
                    if killed:
                        raise Killed
                    return method(*args)

                return call

        sound, rig.on_put = book.record, kill
        rig.engine.before = lambda *_: (_ for _ in ()).throw(Killed) if killed else None
        with pytest.raises(Killed):
            rig.run(SvdAgent(), record=Dead(), **LONG).execute()
        rig.on_put = lambda _: None
        assert rig.off()
        return rig

    return die


class TestAtAnyInstant:
    def sweep(self, make_rig, book, stride, no_put_unannounced, **run):
        first = make_rig()
        total = lived(first, book, **run).count
        book.end()
        killed = moved = 0
        for n in range(1, total + 1, stride):
            rig = make_rig()
            book.begin()
            death = lived(rig, book, n, **run)
            killed += death.is_dead
            was_off = rig.off()
            moved += bool(was_off)
            if book.store.runs.get(book.run.id).snapshot is None:
                assert rig.puts == [], n
            elif death.is_dead:
                before, began = len(rig.puts), rig.again().clock.now()
                recovered = book.recover(rig)
                assert is_all_back(rig, recovered), (n, recovered)
                assert rig.breaches() == [], n
                assert len(rig.puts) >= before
                assert began == 0.0
            assert no_put_unannounced(rig, book), n
            assert [i for i in book.store.journal.of_run(book.run.id) if i.outcome is None] == [], n
            book.end()
        assert killed > 0.9 * len(range(1, total + 1, stride)) - 1
        assert moved

    @pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)])
    def test_of_a_run(self, make_rig, book, stride, no_put_unannounced):
        self.sweep(make_rig, book, stride, no_put_unannounced)

    @pytest.mark.parametrize("at_call", [pytest.param(n, id=f"call {n}") for n in (5, 15, 25, 40)])
    def test_of_a_recovery(self, rig, book, dead_in_mid_run, at_call):
        """Killed again while it brings things back; the third process does."""
        dead_in_mid_run()
        sound = rig.again

        def mortal():
            engine = sound()

            def die(n, name):
                if n >= at_call:
                    raise Killed

            engine.before = die
            return engine

        rig.again = mortal
        with pytest.raises(Killed):
            book.recover(rig)
        rig.again = sound
        assert is_all_back(rig, book.recover(rig))
        assert rig.breaches() == []


class TestWhatIsFound:
    def test_ours(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        recovered = book.recover(rig)
        assert is_all_back(rig, recovered)
        assert "had to be restored" in recovered.reason

    def test_open_intents_are_unknown_from_then_on(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        assert [i for i in book.store.journal.of_run(book.run.id) if i.outcome is None]
        book.recover(rig)
        found = book.store.journal.of_run(book.run.id)
        assert [i for i in found if i.outcome is None] == []
        assert len([i for i in found if i.outcome is Outcome.UNKNOWN]) == 10

    @pytest.mark.parametrize("moment_s", [-1.0, 3.0, 9.0])
    def test_somebody_elses(self, rig, book, dead_in_mid_run, moment_s):
        """Before the restart, or during the watch: left alone, and reported."""
        dead_in_mid_run()
        pv = rig.knobs[3].setpoint
        if moment_s < 0:
            rig.foreign(pv, 41.0)
        sound = rig.again

        def again():
            engine = sound()
            if moment_s > 0:
                rig.clock.after(moment_s, lambda: rig.foreign(pv, 41.0))
            return engine

        rig.again = again
        recovered = book.recover(rig)
        assert recovered.state is RunState.CONFLICT
        assert pv in recovered.reason
        assert rig.off() == {pv}
        assert rig.plant.setpoint(pv) == 41.0

    def test_brought_back_by_a_person(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        for pv, value in rig.start.items():
            rig.foreign(pv, value)
        sent = len(rig.puts)
        assert is_all_back(rig, book.recover(rig))
        assert len(rig.puts) == sent

    def test_permit_low(self, rig, book, dead_in_mid_run):
        """Nothing is written; reported as owed, and restored when a person says so."""
        dead_in_mid_run()
        rig.permit(False)
        sent = len(rig.puts)
        recovered = book.recover(rig)
        assert recovered.state is RunState.FAULT
        assert not recovered.is_over
        assert rig.layout.permit in recovered.reason
        assert len(rig.puts) == sent
        rig.permit(True)
        assert is_all_back(rig, book.recover(rig))

    @pytest.mark.parametrize("how", ["lost", "frozen"])
    def test_dead_ioc(self, rig, book, dead_in_mid_run, how):
        dead_in_mid_run()
        if how == "lost":
            rig.faults.lost |= set(rig.plant.channels)
        else:
            rig.faults.frozen = True
        sent = len(rig.puts)
        recovered = book.recover(rig)
        assert recovered.state is RunState.UNKNOWN
        assert "could not be read" in recovered.reason
        assert len(rig.puts) == sent
        rig.faults.lost.clear()
        rig.faults.frozen = False
        assert is_all_back(rig, book.recover(rig))

    @pytest.mark.parametrize("moment_s", [0.5, 5.0, 9.5])
    def test_a_ghost_during_the_watch(self, rig, book, dead_in_mid_run, moment_s):
        """The IOC was frozen when the process died, and applies its last puts after the restart."""
        dead_in_mid_run()
        late = {i.pv: i.new for i in book.store.journal.unsettled(book.run.id)}
        arrived = {p.pv for p in rig.puts[20:]}
        sound = rig.again

        def again():
            engine = sound()
            for pv in late.keys() - arrived:
                rig.clock.after(moment_s, lambda pv=pv: rig.foreign(pv, late[pv]))
            return engine

        rig.again = again
        assert late.keys() - arrived
        assert is_all_back(rig, book.recover(rig))

    def test_a_ghost_after_the_restore(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        late = {i.pv: i.new for i in book.store.journal.unsettled(book.run.id)}
        pv = next(iter(late.keys() - {p.pv for p in rig.puts[20:]}))
        restored = []

        def on_put(put):
            if not restored:
                restored.append(True)
                rig.clock.after(4.0, lambda: rig.foreign(pv, late[pv]))

        rig.on_put = on_put
        assert is_all_back(rig, book.recover(rig))
        assert restored

    @pytest.mark.parametrize("field", ["setpoint", "readback"])
    def test_a_pv_that_has_vanished(self, rig, book, dead_in_mid_run, field):
        """The others are restored."""
        dead_in_mid_run()
        knob = rig.knobs[3]
        rig.faults.lost.add(getattr(knob, field))
        recovered = book.recover(rig)
        assert recovered.state is RunState.FAULT
        lines = outcomes(recovered)
        assert lines.pop(knob.setpoint) is RestoreOutcome.FAILED
        assert set(lines.values()) == {RestoreOutcome.RESTORED}
        assert rig.off() == {knob.setpoint}
        assert "not there any more" in recovered.reason

    def test_a_dead_bpm_does_not_matter(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        rig.faults.lost |= set(rig.layout.channels) | {rig.layout.current}
        assert is_all_back(rig, book.recover(rig))

    def test_another_machine(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        rig.faults.stuck[rig.layout.identity] = "elsewhere"
        sent = len(rig.puts)
        recovered = book.recover(rig)
        assert recovered.state is RunState.FAULT
        assert len(rig.puts) == sent

    def test_halted_in_the_recovery(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        orders = Orders()
        orders.give(Verb.HALT)
        sent = len(rig.puts)
        recovered = book.recover(rig, orders.gate)
        assert recovered.state is RunState.FAULT
        assert len(rig.puts) == sent
        with pytest.raises(HaltedError):
            orders.gate()

    def test_after_a_takeover(self, rig, book):
        """What a person had set, and the run had taken for its base, is what it goes back to."""
        orders = Orders(is_attended=True)
        pv, marks = rig.knobs[3].setpoint, []

        def on_event(event):
            if isinstance(event, Stepped) and event.step == 1 and not marks:
                marks.append(True)
                rig.foreign(pv, 41.0)
                rig.clock.after(10.0, lambda: orders.give(Verb.TAKEOVER))

        rig.on_event = on_event
        before = Death(rig, book.record, -1)
        run = rig.run(SvdAgent(), record=book.record, orders=orders, target_mm=0.011)

        def kill_soon_after(put):
            before.tick()
            if put.pv == pv and put.before == 41.0:
                before.at = before.count + 3

        rig.on_put = kill_soon_after
        with pytest.raises(Killed):
            run.execute()
        rig.on_put = lambda _: None
        assert rig.plant.setpoint(pv) != 41.0
        recovered = book.recover(rig)
        assert recovered.state is RunState.RESTORED
        assert rig.off() == {pv}
        assert rig.plant.setpoint(pv) == pytest.approx(41.0)


class TestHowLongItTakes:
    """Thirty seconds after a restart everything is back; of these the machine's own ramps take what they take."""

    def seconds(self, rig, book) -> float:
        assert is_all_back(rig, recovered := book.recover(rig))
        assert recovered.lines
        return rig.clock.now() - 20.0  # the last look of is_all_back

    def test_puts_that_have_arrived_are_not_watched_for_again(self, make_rig, book):
        rig = make_rig()
        killed = []

        def die(put):
            if len(rig.puts) == 30:
                killed.append(True)

        rig.on_put = die
        rig.engine.after = lambda n, name: (_ for _ in ()).throw(Killed) if killed else None
        rig.engine.before = rig.engine.after

        class Dead:
            def __getattr__(self, name):
                method = getattr(sound, name)
                return lambda *args: (_ for _ in ()).throw(Killed) if killed else method(*args)

        sound = book.record
        with pytest.raises(Killed):
            rig.run(SvdAgent(), record=Dead(), **LONG).execute()
        rig.on_put = lambda _: None
        assert [i for i in book.store.journal.of_run(book.run.id) if i.outcome is None]
        assert self.seconds(rig, book) < 21.0

    def test_puts_in_doubt(self, rig, book, dead_in_mid_run):
        dead_in_mid_run()
        assert self.seconds(rig, book) < 26.0
