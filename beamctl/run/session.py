"""One attempt at one task: arm, snapshot, then observe, propose, check, put, settle, verify, measure.

The run ends by itself when two independent measurements say that the goal is reached, or when the budget is spent. On
failure or abort the snapshot is restored; a run that ends short of its goal goes back to its best setting.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.engine.restore import RestoreReport
from beamctl.errors import AgentError, BeamControlError, RunAbortedError
from beamctl.run.course import Array, Course, Visit
from beamctl.run.events import Advice, Armed, Event, Held, Listener, Outcome, Restored, RunResult, Stepped
from beamctl.run.hold import TROUBLE, Hold
from beamctl.run.progress import Progress

_log = logging.getLogger(__name__)


class TuningRun:
    """Runs an agent on a section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        course: the task, with the agent that proposes.
        listener: told of everything that happens; one that fails is told no more, and the run goes on.
        connect_timeout_s: how long PVs may take to answer.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        course: Course,
        listener: Listener,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._engine = engine
        self._course = course
        self._listener: Listener | None = listener
        self._connect_timeout_s = connect_timeout_s
        self._stop = threading.Event()
        self._guard = GuardedSection(engine, layout, self._stop.is_set)
        self._hold = Hold(
            engine.clock, self._guard.check_fit, self._check_abort, lambda why, s: self._tell(Held(why, s))
        )
        self._progress = Progress(course)
        self._started = 0.0

    def abort(self) -> None:
        """Ask for an end; safe in signal handlers and from other threads. The snapshot is restored."""
        self._stop.set()

    def execute(self) -> RunResult:
        """Tune until the target is reached or something ends the run.

        Returns:
            also for failed and aborted runs, after the restore.

        Raises:
            BeamControlError: arming failed; nothing was written.
        """
        before = self._arm()
        try:
            return self._tune(before)
        except RunAbortedError as error:
            return self._restore(Outcome.ABORTED, str(error))
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
        self._started = self._engine.clock.now()
        self._tell(Armed(snapshot.identity, snapshot.current_ma, snapshot.setpoint_a))
        return self._guard.reader.measure()

    def _tune(self, measured: Measurement) -> RunResult:
        found = self._guard.snapshot.setpoint_a
        self._report(measured, found)
        if self._is_done(measured):
            return self._result(Outcome.REACHED, f"{self._course.goal} already at the start")
        first = self._course.first_move(found)
        if first is not None:
            setpoint = self._move(lambda: np.clip(found + first, *self._limits()))
            measured = self._measure()
            self._report(measured, setpoint, "first trend move")
        while not self._is_done(measured):
            reason = self._progress.why_give_up()
            if reason:
                return self._end(reason)
            setpoint = self._move(self._propose)
            self._progress.steps += 1
            measured = self._measure()
            self._report(measured, setpoint)
        return self._result(Outcome.REACHED, f"{self._course.goal} in two independent measurements")

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
            setpoint = choose()
            if self._write(partial(self._guard.move, setpoint)):
                return setpoint
            self._progress.measured_again(self._measure())

    def _write(self, action: Callable[[], None]) -> bool:
        """Do what writes; False where it had to wait before anything was sent, and may not be right any more."""
        since = self._engine.clock.now()
        sent = self._guard.writes
        while True:
            self._check_abort()
            try:
                action()
            except TROUBLE as error:
                self._hold.wait_until_fit(error, since)
                if self._guard.writes == sent:
                    return False
            else:
                return True

    def _measure(self) -> Measurement:
        """Measure; for as long as that is not possible, wait."""
        since = self._engine.clock.now()
        while True:
            self._check_abort()
            try:
                return self._guard.measure()
            except TROUBLE as error:
                self._hold.wait_until_fit(error, since)

    def _check_abort(self) -> None:
        if self._stop.is_set():
            raise RunAbortedError("aborted by the operator")

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
        self._progress.add(Visit(setpoint.copy(), self._guard.readbacks(), measured))
        self._tell(
            Stepped(
                self._progress.steps, self._course.figures(measured), measured.values, measured.valid,
                setpoint.copy(), self._engine.clock.now() - self._started, note,
            )
        )  # fmt: skip

    def _is_done(self, measured: Measurement) -> bool:
        """Confirmed by a second, independent measurement."""
        return self._course.is_done(measured) and self._course.is_done(self._measure())

    def _end(self, reason: str) -> RunResult:
        """Stay, go back to the best setting seen, or to the snapshot where that was best; read once more."""
        progress = self._progress
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
        return self._result(outcome, f"{reason}; best setting kept")

    def _restore(self, outcome: Outcome, reason: str) -> RunResult:
        report = self._guard.restore()
        self._tell(Restored(report.lines))
        if report.interrupt is not None:
            raise report.interrupt
        try:
            self._progress.end_with(self._guard.reader.measure())
        except Exception as error:
            self._progress.end_with(None)
            reason += f"; what the machine reads afterwards is not known: {error}"
        return self._result(outcome, reason, report)

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
