"""Pause, accept, abort, halt, and what people decide in a conflict, at every kind of instant.

The judge is the machine.
"""

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import BeamControlError
from beamctl.run.events import Held, Outcome, Restored, Stepped
from beamctl.run.orders import Orders
from beamctl.store.states import RunState, Verb

LONG = {"target_mm": 0.011}
"""a run that people end"""


def at_step(rig, step, *actions, review=None):
    """Do things, one after the other, each once, from when the machine has been measured after a step."""
    queue = list(actions)

    def on_event(event):
        if isinstance(event, Stepped) and event.step == step and queue:
            queue.pop(0)()
        if getattr(event, "state", None) is RunState.REVIEW and review is not None:
            review.give(Verb.ACCEPT)

    rig.on_event = on_event


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


class TestConflict:
    """Somebody else writes while a run goes on that somebody attends."""

    def conflict(self, rig, decide, theirs=41.0, moment_s=0.0, **problem):
        orders = Orders(is_attended=True)
        self.pv = rig.knobs[3].setpoint
        run = rig.run(SvdAgent(), orders=orders, **(problem or LONG))
        self.marks = []

        def write():
            rig.foreign(self.pv, theirs)
            self.marks.append(rig.clock.now())
            rig.clock.after(40.0, lambda: (self.marks.append(rig.clock.now()), decide(orders)))

        at_step(rig, 1, lambda: rig.clock.after(moment_s, write), review=orders)
        result = run.execute()
        assert RunState.CONFLICT in rig.states()
        assert [p for p in rig.puts if self.marks[0] + 1.0 < p.at < self.marks[1]] == []
        assert rig.breaches() == []
        return run, result

    def test_restore(self, rig):
        _run, result = self.conflict(rig, lambda orders: orders.give(Verb.RESTORE))
        assert result.outcome is Outcome.ABORTED
        assert rig.off() == {self.pv}
        assert rig.plant.setpoint(self.pv) == 41.0
        lines = {line.setpoint_pv: line.outcome for line in result.restore}
        assert lines.pop(self.pv) is RestoreOutcome.FOREIGN
        assert set(lines.values()) == {RestoreOutcome.RESTORED}

    def test_leave(self, rig):
        run, _ = self.conflict(rig, lambda orders: orders.give(Verb.LEAVE))
        assert run.state is RunState.ACCEPTED
        assert rig.of(Restored) == []
        assert [p for p in rig.puts if p.at > self.marks[1]] == []

    def test_an_answer_that_came_before_the_question_is_none(self, rig):
        orders = Orders(is_attended=True)
        orders.give(Verb.LEAVE)
        run = rig.run(SvdAgent(), orders=orders, **LONG)
        at_step(rig, 1, lambda: (rig.foreign(rig.knobs[3].setpoint, 41.0), rig.clock.after(60.0, run.abort)))
        assert run.execute().outcome is Outcome.ABORTED
        assert run.state is RunState.RESTORED

    @pytest.mark.parametrize("moment_s", [0.0, 0.3, 0.7, 1.2, 1.8])
    def test_takeover(self, rig, moment_s):
        """Their value is the run's own base for that knob, and it goes on."""
        _run, result = self.conflict(
            rig, lambda orders: orders.give(Verb.TAKEOVER, "somebody"), moment_s=moment_s, **{"target_mm": 0.5}
        )
        after = rig.states()[rig.states().index(RunState.CONFLICT) + 1 :]
        assert after[0] is RunState.RUNNING
        assert result.outcome in (Outcome.REACHED, Outcome.NOT_REACHED), result.reason

    def test_what_is_taken_over_is_what_a_restore_goes_back_to(self, rig):
        def decide(orders):
            orders.give(Verb.TAKEOVER, "somebody")
            rig.clock.after(9.0, lambda: orders.give(Verb.ABORT))

        _, result = self.conflict(rig, decide)
        assert [p for p in rig.puts if p.at > self.marks[1]], "it went on"
        assert result.restored
        assert rig.off() == {self.pv}
        assert rig.plant.setpoint(self.pv) == pytest.approx(41.0)
        assert rig.of(Restored)[0].lines[3].snapshot == pytest.approx(41.0)

    def test_taken_over_and_accepted(self, rig):
        """The best setting from before the takeover is not gone back to."""

        def decide(orders):
            orders.give(Verb.TAKEOVER)
            rig.clock.after(0.3, lambda: orders.give(Verb.ACCEPT))

        run, _result = self.conflict(rig, decide, theirs=rig.start[rig.knobs[3].setpoint] + 20.0)
        if run.state is RunState.ACCEPTED:
            assert abs(rig.plant.setpoint(self.pv) - rig.start[self.pv]) > 1.0
        else:
            assert rig.off() == {self.pv}

    def test_again_and_again(self, rig):
        orders = Orders(is_attended=True)
        run = rig.run(SvdAgent(), orders=orders, target_mm=0.4)
        values = iter([41.0, 43.0, 45.0])

        def write():
            value = next(values, None)
            if value is not None:
                rig.foreign(rig.knobs[3].setpoint, value)
                rig.clock.after(10.0, lambda: orders.give(Verb.TAKEOVER))
                rig.clock.after(14.0, write)

        at_step(rig, 1, write, review=orders)
        rig.clock.after(2000.0, lambda: pytest.fail("it never ends"))
        run.execute()
        assert rig.states().count(RunState.CONFLICT) >= 2
        assert rig.breaches() == []

    def test_nobody_attends(self, rig):
        run = rig.run(SvdAgent(), **LONG)
        at_step(rig, 1, lambda: rig.foreign(rig.knobs[3].setpoint, 41.0))
        assert run.execute().outcome is Outcome.FAILED
        assert rig.off() == {rig.knobs[3].setpoint}


class TestBeamLostByUs:
    """Gone within 5 s of a write of ours: one step back; the second time restored, and a person has to look."""

    @staticmethod
    def trip(rig, seconds=12.0):
        rig.faults.stuck[rig.layout.current] = 0.0
        rig.clock.after(seconds, lambda: rig.faults.stuck.pop(rig.layout.current, None))

    @pytest.mark.parametrize("moment_s", [0.0, 0.05, 0.5, 1.0])
    def test_one_step_back(self, rig, moment_s):
        steps = []

        def on_event(event):
            if isinstance(event, Stepped):
                steps.append(event)
                if event.step == 1 and len(steps) == 3:
                    rig.clock.after(moment_s, lambda: self.trip(rig))

        rig.on_event = on_event
        result = rig.run(SvdAgent(), target_mm=0.4).execute()
        held = [h for h in rig.of(Held) if "stepped back" in h.reason]
        assert len(held) == 1
        assert rig.breaches() == []
        assert result.outcome in (Outcome.REACHED, Outcome.NOT_REACHED), result.reason

    def test_what_is_believed_is_where_the_knobs_are(self, rig):
        """After a step back, the setting that the agent is shown is the one that the machine holds."""
        shown = []

        class Looking(SvdAgent):
            def propose(self, view):
                shown.append(max(abs(view.setpoint_a[0] - [rig.plant.setpoint(k.setpoint) for k in rig.knobs])))
                return super().propose(view)

        def on_event(event):
            if isinstance(event, Stepped) and event.step == 1 and not tripped:
                tripped.append(True)
                rig.clock.after(0.6, lambda: self.trip(rig))

        tripped = []
        rig.on_event = on_event
        rig.run(Looking(), target_mm=0.4).execute()
        assert tripped
        assert max(shown) < 1e-3

    def test_the_second_time_is_a_fault(self, rig):
        run = rig.run(SvdAgent(), **LONG)
        rig.on_event = lambda event: (
            rig.clock.after(0.3, lambda: self.trip(rig)) if isinstance(event, Stepped) and event.step > 0 else None
        )
        result = run.execute()
        assert result.outcome is Outcome.FAILED
        assert "second time" in result.reason
        assert run.state is RunState.FAULT
        assert rig.off() == set()
        assert result.restored

    def test_long_after_a_write_it_is_nobodys(self, rig, proposer):
        good = SvdAgent()
        good.start(rig.problem)
        slept = []

        def slow(view):
            if not slept:
                slept.append(True)
                rig.clock.sleep(20.0)
                self.trip(rig)
                rig.clock.sleep(1.0)  # it has been published
            return good.propose(view)

        run = rig.run(proposer(slow), max_steps=3, **LONG)
        run.execute()
        assert [h for h in rig.of(Held) if "stepped back" in h.reason] == []
        assert run.state is not RunState.FAULT
