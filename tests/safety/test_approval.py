"""Steps that wait for a person; the judge is the machine's own log of puts."""

import numpy as np
import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.run.events import Changed, Outcome, Proposed
from beamctl.run.orders import Orders
from beamctl.store.states import RunState, Verb


def answering(rig, *answers):
    """Answer one proposal after the other, half a second after it was made; the last answer goes on for ever."""
    queue = list(answers)

    def on_event(event):
        if isinstance(event, Proposed):
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            rig.clock.after(0.5, lambda: answer(event))

    rig.on_event = on_event


def give(orders, *verbs):
    """An answer."""
    return lambda _: [orders.give(verb, "somebody") for verb in verbs]


@pytest.fixture
def orders():
    return Orders(is_attended=False)


def test_every_step_is_written_as_proposed_and_only_after_approval(rig, orders):
    seen = []

    def approve(proposal):
        seen.append((proposal, len(rig.puts)))
        orders.give(Verb.APPROVE, "somebody")

    answering(rig, approve)
    result = rig.run(SvdAgent(), orders=orders, asks=True).execute()
    assert result.outcome is Outcome.REACHED
    assert [proposal.step for proposal, _ in seen] == [1, *range(1, len(seen))], "the first move, then the steps"
    for (proposal, before), (_, after) in zip(seen, [*seen[1:], (None, len(rig.puts))], strict=True):
        written = {put.pv: put.value for put in rig.puts[before:after]}
        goal = dict(zip((k.setpoint for k in rig.knobs), proposal.setpoint_a, strict=True))
        assert written.items() <= goal.items()
    reasons = [event.reason for event in rig.of(Changed)]
    assert "step 1 waits for approval" in reasons
    assert "step 1 approved by somebody" in reasons


def test_nothing_is_written_without_an_answer(rig, orders):
    answering(rig, lambda _: rig.clock.after(3600.0, lambda: orders.give(Verb.ABORT, "somebody")))
    result = rig.run(orders=orders, asks=True).execute()
    assert result.outcome is Outcome.ABORTED
    assert [put for put in rig.puts if put.value != put.before] == []


@pytest.mark.parametrize(
    ("verb", "outcome", "state"),
    [(Verb.ABORT, Outcome.ABORTED, RunState.RESTORED), (Verb.HALT, Outcome.HALTED, RunState.HALTED)],
)
def test_ends_while_it_waits(rig, orders, verb, outcome, state):
    answering(rig, give(orders, Verb.APPROVE), give(orders, Verb.APPROVE), give(orders, verb))
    run = rig.run(SvdAgent(), orders=orders, asks=True)
    assert run.execute().outcome is outcome
    assert run.state is state
    if verb is Verb.ABORT:
        assert rig.off() == set()


def test_accept_keeps_what_is_best(rig, orders):
    answering(rig, *[give(orders, Verb.APPROVE)] * 3, give(orders, Verb.ACCEPT))
    result = rig.run(SvdAgent(), orders=orders, asks=True, target_mm=0.011).execute()
    assert result.outcome is Outcome.NOT_REACHED
    assert result.final["rms_mm"] < result.initial["rms_mm"]
    assert "accepted by somebody" in result.reason


def test_resume_lets_the_rest_go_on(rig, orders):
    answering(rig, give(orders, Verb.APPROVE), give(orders, Verb.RESUME), give(orders, Verb.ABORT))
    result = rig.run(SvdAgent(), orders=orders, asks=True).execute()
    assert result.outcome is Outcome.REACHED
    assert len(rig.of(Proposed)) == 2


def test_an_approval_from_before_the_proposal_does_not_count(rig, orders):
    orders.give(Verb.APPROVE, "somebody who is early")
    answering(rig, give(orders, Verb.ABORT))
    assert rig.run(orders=orders, asks=True).execute().outcome is Outcome.ABORTED
    assert [put for put in rig.puts if put.value != put.before] == []


def test_a_pause_voids_the_proposal(rig, orders):
    def pause(_):
        orders.give(Verb.PAUSE, "somebody")
        rig.clock.after(20.0, lambda: orders.give(Verb.RESUME, "somebody"))

    answering(rig, pause, give(orders, Verb.APPROVE))
    result = rig.run(SvdAgent(), orders=orders, asks=True).execute()
    assert result.outcome is Outcome.REACHED
    first, again = rig.of(Proposed)[:2]
    assert first.step == again.step
    assert len(rig.of(Proposed)) > 2, "resuming from a pause approves of nothing"


def test_stale_data_after_the_approval_are_waited_out_and_the_step_is_proposed_anew(rig, orders):
    def freeze(_):
        rig.faults.frozen = True
        orders.give(Verb.APPROVE, "somebody")
        rig.clock.after(8.0, lambda: setattr(rig.faults, "frozen", False))

    answering(rig, give(orders, Verb.APPROVE), freeze, give(orders, Verb.APPROVE))
    result = rig.run(SvdAgent(), orders=orders, asks=True).execute()
    assert RunState.HOLD in rig.states()
    assert result.outcome is Outcome.REACHED


def test_somebody_else_writes_while_it_waits(rig, orders):
    pv = rig.knobs[3].setpoint

    def meddle(_):
        rig.foreign(pv, 41.0)
        orders.give(Verb.APPROVE, "somebody")

    answering(rig, give(orders, Verb.APPROVE), meddle)
    result = rig.run(SvdAgent(), orders=orders, asks=True).execute()
    assert result.outcome is Outcome.FAILED
    assert float(rig.plant.setpoint(pv)) == 41.0


def test_proposal_and_hold_are_on_record(rig, book):
    orders = Orders()

    def pause(_):
        orders.give(Verb.PAUSE, "somebody")
        rig.clock.after(20.0, lambda: orders.give(Verb.RESUME, "somebody"))

    answering(rig, pause, give(orders, Verb.APPROVE))
    rig.run(SvdAgent(), record=book.record, orders=orders, asks=True).execute()
    stored = book.store.events.read(run=book.run.id, limit=10_000)
    events = [event for event in stored if event.kind in ("proposed", "held")]
    assert events[0].kind == "proposed"
    proposal = rig.of(Proposed)[0]
    assert np.array_equal(events[0].payload["setpoint_a"], proposal.setpoint_a)
    assert events[0].payload["predicted"]["rms_mm"] == pytest.approx(proposal.predicted["rms_mm"])
    assert events[1].kind == "held"
    assert events[1].payload == {"reason": "paused by somebody", "restore_in_s": None}
    assert sum(event.kind == "held" for event in events) == 1
