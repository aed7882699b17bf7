"""Somebody else writes, or the beam goes away right after a step of ours: people decide."""

import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Held, Outcome, Restored, Stepped
from beamctl.run.orders import Orders
from beamctl.store.states import RunState, Verb
from tests.safety.scenes import LONG, at_step


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
