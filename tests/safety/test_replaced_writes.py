"""Somebody else writes between the moment a setpoint is read and the moment it is put: seen, and left to them."""

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Outcome, Restored
from beamctl.run.orders import Orders
from beamctl.store.states import RunState, Verb

THEIRS = 21.0


def meddling(rig, pv, at_write: int):
    """Somebody writes right before the engine sends a group of puts."""
    count = iter(range(1, 10_000))

    def before(_, name):
        if name == "write" and next(count) == at_write:
            rig.foreign(pv, THEIRS)
            rig.clock.sleep(0.3)

    rig.engine.before = before


@pytest.mark.parametrize("at_write", [1, 2, 4])
def test_a_write_that_ours_replaces_ends_the_run(rig, at_write):
    pv = rig.knobs[3].setpoint
    meddling(rig, pv, at_write)
    result = rig.run(SvdAgent(), target_mm=0.011).execute()
    assert result.outcome is Outcome.FAILED
    assert f"{pv} to {THEIRS:g} A" in result.reason
    (line,) = [line for line in rig.of(Restored)[0].lines if line.setpoint_pv == pv]
    assert line.outcome is RestoreOutcome.FOREIGN, "it is theirs"
    others = {knob.setpoint for knob in rig.knobs} - {pv}
    assert rig.off() & others == set()


def test_people_decide_where_they_attend(rig):
    pv = rig.knobs[3].setpoint
    orders = Orders(is_attended=True)
    meddling(rig, pv, 2)

    def on_event(event):
        if getattr(event, "state", None) is RunState.CONFLICT:
            rig.clock.after(0.5, lambda: orders.give(Verb.TAKEOVER, "somebody"))
        if getattr(event, "state", None) is RunState.REVIEW:
            orders.give(Verb.ACCEPT, "somebody")

    rig.on_event = on_event
    result = rig.run(SvdAgent(), orders=orders).execute()
    assert RunState.CONFLICT in rig.states()
    assert result.outcome is Outcome.REACHED


def test_nobody_is_suspected_without_reason(rig):
    assert rig.run(SvdAgent(), target_mm=0.011).execute().outcome is Outcome.NOT_REACHED
    assert RunState.CONFLICT not in rig.states()
