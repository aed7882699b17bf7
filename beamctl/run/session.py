"""One attempt at one task: arm, snapshot, then observe, propose, check, write down, put, settle, verify, measure.

The run ends by itself when two independent measurements say that the goal is reached, or when the budget is spent. On
failure or abort the snapshot is restored; a run that ends short of its goal goes back to its best setting. People may
pause, accept, abort and halt at any time (:mod:`beamctl.run.orders`); all is written down (:mod:`beamctl.run.record`).
"""

import logging
from collections.abc import Callable
from functools import partial

import numpy as np

from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.engine.restore import RestoreOutcome, RestoreReport
from beamctl.errors import (
    AgentError,
    BeamControlError,
    BeamLostError,
    ForeignWriteError,
    HaltedError,
    JournalError,
    PermitLostError,
    RunAbortedError,
    StaleReadingError,
)
from beamctl.run.course import Array, Course, Visit
from beamctl.run.events import Advice, Armed, Changed, Event, Held, Listener, Outcome, Restored, RunResult, Stepped
from beamctl.run.hold import TROUBLE, Hold
from beamctl.run.orders import Orders
from beamctl.run.progress import Progress
from beamctl.run.record import NoRecord, Record
from beamctl.store.states import RunState, Verb

_log = logging.getLogger(__name__)

POLL_S = 0.2
"""how often a run that waits for a person looks for an answer"""
BLAMED_S = 5.0
"""a beam that goes away so soon after a write of ours went away because of it"""


class TuningRun:
    """Runs an agent on a section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        course: the task, with the agent that proposes.
        listener: told of everything that happens; one that fails is told no more, and the run goes on.
        connect_timeout_s: how long PVs may take to answer.
        record: where everything is written down first.
        orders: what people want.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        course: Course,
        listener: Listener,
        connect_timeout_s: float = 5.0,
        record: Record | None = None,
        orders: Orders | None = None,
    ) -> None:
        self._engine = engine
        self._layout = layout
        self._course = course
        self._listener: Listener | None = listener
        self._connect_timeout_s = connect_timeout_s
        self._record: Record = record or NoRecord()
        self.orders = orders or Orders()
        self._guard = GuardedSection(engine, layout, self._stops, self._record, self.orders.gate)
        self._hold = Hold(engine.clock, self._guard.check_fit, self._check_orders, self._tell_hold)
        self._progress = Progress(course)
        self._started = 0.0
        self._state = RunState.IDLE
        self._last_put_s = -np.inf
        self._beam_losses = 0

    @property
    def state(self) -> RunState:
        """Where the run is."""
        return self._state

    def abort(self) -> None:
        """Ask for an end; safe in signal handlers and from other threads. The snapshot is restored."""
        self.orders.give(Verb.ABORT)

    def execute(self) -> RunResult:
        """Tune until the goal is reached or something ends the run.

        Returns:
            also for failed and aborted runs, after the restore.

        Raises:
            BeamControlError: arming failed; nothing was written.
        """
        before = self._arm()
        try:
            return self._tune(before)
        except HaltedError as error:
            return self._freeze(str(error))
        except RunAbortedError as error:
            return self._restore(Outcome.ABORTED, str(error))
        except ForeignWriteError as error:
            return self._conflict(str(error))
        except BeamControlError as error:
            return self._restore(Outcome.FAILED, str(error))
        except Exception as error:
            _log.exception("the run failed unexpectedly; the snapshot is being restored")
            return self._restore(Outcome.FAILED, f"unexpected {type(error).__name__}: {error}")
        except BaseException as error:
            self._restore(Outcome.FAILED, f"interrupted by {type(error).__name__}")
            raise

    def advise(self) -> tuple[RunResult, Advice]:
        """Propose the next step from the present reading; writes nothing.

        Raises:
            BeamControlError: the machine could not be read, or the proposal must not be written.
        """
        measured = self._arm()
        setpoint = self._guard.snapshot.setpoint_a
        self._report(measured, setpoint)
        new = self._propose()
        self._guard.check(new, setpoint)
        course = self._course
        predicted = course.predict(measured, new - setpoint)
        advice = Advice(setpoint, new, course.figures(measured), predicted, course.is_reached(measured))
        self._tell(advice)
        return self._result(Outcome.ADVISED, f"nothing written for {course.task}"), advice

    def _arm(self) -> Measurement:
        """Check everything, remember what was found, see that the instruments can be read; writes nothing."""
        self._course.start()
        snapshot = self._guard.arm(self._connect_timeout_s)
        self._record.armed(self._layout, snapshot)
        self._started = self._engine.clock.now()
        self._tell(Armed(snapshot.identity, snapshot.current_ma, snapshot.setpoint_a))
        self._change(RunState.ARMED, "everything needed is there; nothing was written yet")
        return self._seen(self._guard.reader.measure())

    def _tune(self, measured: Measurement) -> RunResult:
        found = self._guard.snapshot.setpoint_a
        self._report(measured, found)
        if self._is_done(measured):
            return self._keep(Outcome.REACHED, f"{self._course.goal} already at the start")
        self._change(RunState.RUNNING, "tuning")
        first = self._course.first_move(found)
        if first is not None:
            setpoint = self._move(lambda: np.clip(found + first, *self._limits()))
            measured = self._measure()
            self._report(measured, setpoint, "first trend move")
        while not self._is_done(measured):
            accepts = self.orders.has(Verb.ACCEPT)
            reason = f"accepted by {self.orders.by(Verb.ACCEPT)}" if accepts else self._progress.why_give_up()
            if reason:
                return self._end(reason)
            setpoint = self._move(self._propose)
            self._progress.steps += 1
            measured = self._measure()
            self._report(measured, setpoint)
        return self._keep(Outcome.REACHED, f"{self._course.goal} in two independent measurements")

    def _propose(self) -> Array:
        """Setpoints of the next step, inside all limits, A.

        Raises:
            AgentError: the agent failed, or proposed what is not one finite number per knob.
        """
        course, progress = self._course, self._progress
        setpoint = progress.visits[-1].setpoint_a
        try:
            change = course.propose(progress.visits, max(course.max_steps - progress.steps, 1))
        except Exception as error:
            raise AgentError(f"{course.proposer} failed: {type(error).__name__}: {error}") from error
        if change.shape != setpoint.shape or not np.isfinite(change).all():
            raise AgentError(f"{course.proposer} proposed {change}: not one finite number of A per knob")
        return np.clip(course.limited(setpoint, change), *self._limits())

    def _limits(self) -> tuple[Array, Array]:
        """The description's limits narrowed by the IOC's."""
        knobs = self._guard.knobs
        return np.array([k.lo for k in knobs]), np.array([k.hi for k in knobs])

    def _move(self, choose: Callable[[], Array]) -> Array:
        """Write what is chosen from the newest reading; one that is older than a hold is void, and made again.

        Returns:
            the setpoints, A.
        """
        while True:
            if self._waits_for_people():
                self._measured_again()
            setpoint = choose()
            if self._write(partial(self._guard.move, setpoint)):
                return setpoint
            self._measured_again()

    def _write(self, action: Callable[[], None]) -> bool:
        """Do what writes; False where it had to wait before anything was sent, and may not be right any more."""
        since = self._engine.clock.now()
        sent = self._guard.writes
        while True:
            self._check_orders()
            try:
                action()
            except TROUBLE as error:
                self._wait_until_fit(error, since)
                if self._guard.writes == sent:
                    return False
            else:
                self._last_put_s = self._engine.clock.now()
                return True

    def _measure(self) -> Measurement:
        """Measure; for as long as that is not possible, wait."""
        since = self._engine.clock.now()
        while True:
            self._check_orders()
            try:
                return self._seen(self._guard.measure())
            except TROUBLE as error:
                self._wait_until_fit(error, since)

    def _seen(self, measured: Measurement) -> Measurement:
        return self._course.seen(self._guard.setpoint_a, measured)

    def _measured_again(self) -> None:
        self._progress.measured_again(self._measure())
        self._record.measured_again(self._progress.steps, self._progress.visits[-1])

    def _wait_until_fit(self, error: StaleReadingError | PermitLostError, since: float) -> None:
        """Wait; a beam that our last step has cost comes back to the setting before it.

        Raises:
            BeamLostError: for the second time because of a write of ours.
        """
        is_ours = isinstance(error, BeamLostError) and since - self._last_put_s <= BLAMED_S
        if is_ours:
            self._beam_losses += 1
            if self._beam_losses > 1:
                raise BeamLostError(f"for the second time within {BLAMED_S:g} s of a write of ours: {error}")
        self._change(RunState.HOLD, str(error))
        self._hold.wait_until_fit(error, since)
        if is_ours and len(self._progress.visits) > 0:
            self._guard.approach(self._progress.visits[-1].setpoint_a)
            self._tell(Held("stepped back: the beam went away right after our last step", 0.0))
        self._change(RunState.RUNNING, "good again")

    def _waits_for_people(self) -> bool:
        """Hold for as long as somebody has paused the run; whether that was so."""
        if not self.orders.has(Verb.PAUSE):
            return False
        since = self._engine.clock.now()
        reason = f"paused by {self.orders.by(Verb.PAUSE)}"
        self._change(RunState.HOLD, reason)
        while self.orders.has(Verb.PAUSE) and not self.orders.has(Verb.ACCEPT):
            self._check_orders()
            self._tell(Held(reason, self._engine.clock.now() - since))
            self._engine.clock.sleep(POLL_S)
        self._change(RunState.RUNNING, "resumed")
        return True

    def _stops(self) -> bool:
        return self.orders.ends_soon

    def _check_orders(self) -> None:
        self.orders.gate()
        if self.orders.has(Verb.ABORT):
            raise RunAbortedError(f"aborted by {self.orders.by(Verb.ABORT)}")

    def _change(self, state: RunState, reason: str) -> None:
        """The run is somewhere else now; told and written down.

        Raises:
            JournalError: it could not be written down, before a state in which puts may follow.
        """
        if state is self._state:
            return
        self._state = state
        self._tell(Changed(state, reason))
        self._record.state(state, reason)

    def _changed_for_the_worse(self, state: RunState, reason: str) -> None:
        """As :meth:`_change`, on the way out: nothing may keep the machine from being restored."""
        try:
            self._change(state, reason)
        except JournalError:
            _log.exception("state %s could not be written down", state)

    def _tell_hold(self, why: str, seconds: float) -> None:
        self._tell(Held(why, seconds))

    def _tell(self, event: Event) -> None:
        """Nothing depends on whether anybody listens."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            self._listener = None
            _log.exception("the listener failed and is told no more; the run goes on")

    def _report(self, measured: Measurement, setpoint: Array, note: str = "") -> None:
        visit = Visit(setpoint.copy(), self._guard.readbacks(), measured)
        self._progress.add(visit)
        steps, figures = self._progress.steps, self._course.figures(measured)
        seconds = self._engine.clock.now() - self._started
        self._record.visited(steps, visit, note, figures, seconds)
        self._tell(Stepped(steps, figures, measured.values, measured.valid, setpoint.copy(), seconds, note))

    def _is_done(self, measured: Measurement) -> bool:
        """Confirmed by a second, independent measurement."""
        return self._course.is_done(measured) and self._course.is_done(self._measure())

    def _end(self, reason: str) -> RunResult:
        """Stay, go back to the best setting seen, or to the snapshot where that was best; read once more."""
        progress = self._progress
        if self._course.goes_back:
            is_reached = self._course.is_reached(progress.visits[-1].measured)
            if is_reached:
                return self._restore(Outcome.REACHED, f"{self._course.goal}: complete")
            return self._restore(Outcome.NOT_REACHED, reason)
        best = progress.best
        if best is None or not progress.has_gained:
            return self._restore(Outcome.NOT_REACHED, f"{reason}; no setting was better than the first")
        stays = progress.last_cost <= progress.best_cost + self._course.slack
        goal = progress.visits[-1].setpoint_a if stays else best.setpoint_a
        while not self._write(lambda: self._guard.approach(goal)):
            pass
        measured = self._measure()
        self._report(measured, goal, "read again" if stays else "back to the best")
        if not progress.is_better_than_first:
            return self._restore(Outcome.NOT_REACHED, f"{reason}; read again, no setting was better than the first")
        outcome = Outcome.REACHED if self._course.is_reached(measured) else Outcome.NOT_REACHED
        return self._keep(outcome, f"{reason}; best setting kept")

    def _keep(self, outcome: Outcome, reason: str) -> RunResult:
        """Keep the present setting; where somebody is there, after they have looked at it."""
        if self.orders.is_attended and not self.orders.has(Verb.ACCEPT):
            self._change(RunState.REVIEW, f"{reason}: accept or abort")
            while not self.orders.has(Verb.ACCEPT):
                self._check_orders()
                self._guard.present_setpoints()
                self._engine.clock.sleep(POLL_S)
        self._change(RunState.ACCEPTED, reason)
        return self._result(outcome, reason)

    def _conflict(self, reason: str) -> RunResult:
        """Somebody else has written: freeze, and do what people decide; by ourselves, restore only what is ours."""
        self._changed_for_the_worse(RunState.CONFLICT, reason)
        if not self.orders.is_attended:
            return self._restore(Outcome.FAILED, reason)
        while True:
            decision = self.orders.decision()
            if self.orders.has(Verb.HALT):
                return self._freeze(f"{reason}; halted by {self.orders.by(Verb.HALT)}")
            if decision is Verb.RESTORE or self.orders.has(Verb.ABORT):
                return self._restore(Outcome.ABORTED, f"{reason}; what was ours has been restored")
            if decision is Verb.LEAVE or self.orders.has(Verb.ACCEPT):
                self._changed_for_the_worse(RunState.ACCEPTED, f"{reason}; everything left as it is")
                return self._result(Outcome.ABORTED, f"{reason}; everything left as it is")
            self._engine.clock.sleep(POLL_S)

    def _freeze(self, reason: str) -> RunResult:
        """Write nothing any more, not even a restore; what is owed stays on record."""
        self._changed_for_the_worse(RunState.HALTED, reason)
        self._read_at_the_end()
        return self._result(Outcome.HALTED, reason)

    def _restore(self, outcome: Outcome, reason: str) -> RunResult:
        self._changed_for_the_worse(RunState.RESTORING, reason)
        report = self._guard.restore()
        self._tell(Restored(report.lines))
        try:
            self._record.restored(report.lines)
        except JournalError:
            _log.exception("the restore could not be written down")
        if report.interrupt is not None:
            raise report.interrupt
        if self.orders.has(Verb.HALT):
            return self._freeze(f"{reason}; halted by {self.orders.by(Verb.HALT)} while restoring")
        reason += self._read_at_the_end()
        is_whole = report.is_complete or any(line.outcome is RestoreOutcome.FOREIGN for line in report.lines)
        self._changed_for_the_worse(RunState.RESTORED if is_whole else RunState.FAULT, reason)
        return self._result(outcome, reason, report)

    def _read_at_the_end(self) -> str:
        """What the machine reads now; why it is not known, for people."""
        try:
            self._progress.end_with(self._guard.reader.measure())
        except Exception as error:
            self._progress.end_with(None)
            return f"; what the machine reads afterwards is not known: {error}"
        return ""

    def _result(self, outcome: Outcome, reason: str, report: RestoreReport | None = None) -> RunResult:
        g = self._progress
        final = g.values(g.final)
        return RunResult(
            outcome=outcome,
            steps=g.steps,
            initial=g.figures(g.initial),
            final=g.figures(g.final),
            restored=report is not None and report.is_complete,
            writes=self._guard.writes,
            reason=reason,
            initial_values=g.values(g.initial).values,
            final_values=final.values,
            valid=final.valid,
            restore=() if report is None else tuple(report.lines),
        )
