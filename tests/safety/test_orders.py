"""Pause, accept, abort, halt, and what people decide in a conflict, at every kind of instant.

The judge is the machine.
"""

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.errors import BeamControlError
from beamctl.run.events import Held, Outcome, Restored
from beamctl.run.orders import Orders
from beamctl.store.states import RunState, Verb
from tests.safety.scenes import LONG, at_step


def in_state(rig, state, action):
    """Do something half a second after a state is entered."""

    def on_event(event):
        if getattr(event, "state", None) is state and not done:
            done.append(True)
            rig.clock.after(0.5, action)

    done = []
    rig.on_event = on_event


def begun_writes(rig, since: int) -> list[str]:
    """Writes that the engine was asked for after a call."""
    return [name for name in rig.engine.calls[since:] if name == "write"]


class TestHalt:
    """Nothing is written after it; not even a restore that is in progress."""

    def halted_at(self, make_rig, n, when, before=lambda rig, run: None):
        rig, orders = make_rig(), Orders()
        run = rig.run(orders=orders)
        before(rig, run)
        setattr(rig.engine, when, lambda call, name: orders.give(Verb.HALT, "somebody") if call == n else None)
        try:
            result = run.execute()
        except BeamControlError:
            result = None
        return rig, run, result

    @pytest.mark.parametrize(
        ("when", "stride"),
        [("before", 11), ("after", 13), *[pytest.param(w, 1, marks=pytest.mark.slow) for w in ("before", "after")]],
    )
    def test_at_any_call(self, make_rig, when, stride):
        rig = make_rig()
        rig.run().execute()
        for n in range(1, len(rig.engine.calls) + 1, stride):
            rig, run, result = self.halted_at(make_rig, n, when)
            assert begun_writes(rig, n) == [], n
            assert result is None or result.outcome is Outcome.REACHED or run.state is RunState.HALTED, (n, result)

    @pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
    def test_in_a_restore(self, make_rig, stride):
        def aborts(rig, run):
            at_step(rig, 1, run.abort)

        rig, run, result = self.halted_at(make_rig, -1, "before", aborts)
        assert result.restored
        first = next(n for n, name in enumerate(rig.engine.calls) if len(rig.engine.calls) - n < 60)
        halted = 0
        for n in range(first, len(rig.engine.calls) + 1, stride):
            rig, run, result = self.halted_at(make_rig, n, "before", aborts)
            assert begun_writes(rig, n) == [], n
            halted += run.state is RunState.HALTED
            assert rig.breaches() == []
        assert halted

    @pytest.mark.parametrize("state", [RunState.HOLD, RunState.REVIEW, RunState.CONFLICT])
    def test_while_it_waits(self, rig, state):
        orders = Orders(is_attended=True)
        run = rig.run(orders=orders)
        if state is RunState.HOLD:
            at_step(rig, 1, lambda: (rig.permit(False), rig.clock.after(2.0, lambda: orders.give(Verb.HALT))))
        elif state is RunState.REVIEW:
            in_state(rig, state, lambda: orders.give(Verb.HALT))
        else:
            pv = rig.knobs[3].setpoint
            at_step(rig, 1, lambda: (rig.foreign(pv, 41.0), rig.clock.after(9.0, lambda: orders.give(Verb.HALT))))
        result = run.execute()
        assert state in rig.states()
        assert result.outcome is Outcome.HALTED
        assert run.state is RunState.HALTED
        assert rig.of(Restored) == []

    def test_beats_what_was_ordered_before(self, rig):
        orders = Orders(is_attended=True)
        for verb in (Verb.ACCEPT, Verb.PAUSE, Verb.ABORT, Verb.RESUME, Verb.HALT):
            orders.give(verb)
        result = rig.run(orders=orders).execute()
        assert result.outcome is Outcome.HALTED
        assert rig.puts == []


class TestPause:
    def paused(self, rig, then, after_s=30.0, **problem):
        orders = Orders()
        run = rig.run(SvdAgent(), orders=orders, **problem)
        marks = []

        def pause():
            orders.give(Verb.PAUSE, "somebody")
            marks.append(rig.clock.now())
            rig.clock.after(after_s, lambda: (marks.append(rig.clock.now()), then(orders)))

        at_step(rig, 1, pause)
        return run, run.execute(), marks

    def test_nothing_is_written_until_it_is_resumed(self, rig):
        _run, result, (since, until) = self.paused(rig, lambda orders: orders.give(Verb.RESUME))
        assert [p for p in rig.puts if since < p.at < until] == []
        assert [p for p in rig.puts if p.at > until]
        assert result.outcome is Outcome.REACHED
        assert any("paused by somebody" in held.reason for held in rig.of(Held))

    def test_abort(self, rig):
        _run, result, _ = self.paused(rig, lambda orders: orders.give(Verb.ABORT))
        assert result.outcome is Outcome.ABORTED
        assert rig.off() == set()

    def test_accept_takes_no_further_step(self, rig):
        run, result, (_, until) = self.paused(rig, lambda orders: orders.give(Verb.ACCEPT), **LONG)
        assert run.state is RunState.ACCEPTED
        assert [p for p in rig.puts if p.at > until] == [], "the present setting is the best"
        assert result.steps == 1
        assert result.final["rms_mm"] < result.initial["rms_mm"]

    def test_a_beam_trip_meanwhile(self, rig):
        def then(orders):
            rig.permit(False)
            orders.give(Verb.RESUME)
            rig.clock.after(10.0, lambda: rig.permit(True))

        _, result, (since, until) = self.paused(rig, then)
        assert [p for p in rig.puts if since < p.at < until + 10.0] == []
        assert result.outcome is Outcome.REACHED


class TestAccept:
    @pytest.mark.parametrize("step", [0, 1, 2])
    def test_the_best_is_kept(self, rig, step):
        orders = Orders()
        run = rig.run(SvdAgent(), orders=orders, **LONG)
        at_step(rig, step, lambda: orders.give(Verb.ACCEPT, "somebody"))
        result = run.execute()
        assert result.steps == step
        assert rig.breaches() == []
        if result.restored:
            assert rig.off() == set()
        else:
            assert run.state is RunState.ACCEPTED
            assert result.final["rms_mm"] < result.initial["rms_mm"]

    def test_in_a_hold(self, rig):
        orders = Orders()
        run = rig.run(SvdAgent(), orders=orders, **LONG)

        def trip():
            rig.permit(False)
            rig.clock.after(2.0, lambda: orders.give(Verb.ACCEPT))
            rig.clock.after(6.0, lambda: rig.permit(True))

        at_step(rig, 2, trip)
        assert run.execute().steps <= 3
        assert run.state is RunState.ACCEPTED


class TestReview:
    def reviewed(self, rig, action):
        orders = Orders(is_attended=True)
        run = rig.run(orders=orders)
        in_state(rig, RunState.REVIEW, lambda: action(orders))
        return run, run.execute()

    def test_waits_as_long_as_it_takes(self, rig):
        seen = []
        run, result = self.reviewed(
            rig,
            lambda orders: (
                seen.append(len(rig.puts)),
                rig.clock.after(100.0, lambda: (seen.append(len(rig.puts)), orders.give(Verb.ACCEPT))),
            ),
        )
        assert seen[0] == seen[1] == len(rig.puts)
        assert run.state is RunState.ACCEPTED
        assert result.outcome is Outcome.REACHED

    def test_abort(self, rig):
        _, result = self.reviewed(rig, lambda orders: orders.give(Verb.ABORT))
        assert result.outcome is Outcome.ABORTED
        assert result.restored
        assert rig.off() == set()

    def test_an_ioc_that_stands_still_for_a_while(self, rig):
        def freeze(orders):
            rig.faults.frozen = True
            rig.clock.after(60.0, lambda: (setattr(rig.faults, "frozen", False), orders.give(Verb.ACCEPT)))

        run, _ = self.reviewed(rig, freeze)
        assert run.state is RunState.ACCEPTED

    @pytest.mark.parametrize("verb", [Verb.RESTORE, Verb.LEAVE, Verb.TAKEOVER])
    def test_somebody_else_writes(self, rig, verb):
        pv = rig.knobs[3].setpoint

        def write(orders):
            rig.foreign(pv, 41.0)
            rig.clock.after(60.0, lambda: orders.give(verb, "somebody"))
            rig.clock.after(90.0, lambda: orders.give(Verb.ACCEPT))

        run, _result = self.reviewed(rig, write)
        assert RunState.CONFLICT in rig.states()
        assert rig.plant.setpoint(pv) == 41.0
        if verb is Verb.RESTORE:
            assert rig.off() == {pv}
            assert run.state is RunState.RESTORED
        else:
            assert run.state is RunState.ACCEPTED
            assert rig.of(Restored) == []
