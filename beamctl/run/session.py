"""One attempt at one task: arm, snapshot, first trend move, then observe, propose, check, put, settle, verify, measure.

The run ends by itself when two independent measurements are below the target. On failure or abort
the snapshot is restored; a run that ends short of the target goes back to its best setting.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from beamctl.agent.base import Agent
from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout
from beamctl.engine.orbit_reader import Measurement
from beamctl.engine.restore import RestoreReport
from beamctl.errors import AgentError, BeamControlError, RunAbortedError
from beamctl.run.events import Advice, Armed, Event, Held, Listener, Outcome, Restored, RunResult, Stepped
from beamctl.run.hold import TROUBLE, Hold
from beamctl.run.progress import Progress
from beamctl.task.encoding import first_history, next_history
from beamctl.task.orbit import Array, Mask, is_confirmed, orbit_rms
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step

_log = logging.getLogger(__name__)


class OrbitRun:
    """Runs an agent on a section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        problem: limits, target, budget, nominal response.
        agent: who proposes.
        listener: told of everything that happens; one that fails is told no more, and the run goes on.
        connect_timeout_s: how long PVs may take to answer.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        problem: OrbitProblem,
        agent: Agent,
        listener: Listener,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._engine = engine
        self._problem = problem
        self._agent = agent
        self._listener: Listener | None = listener
        self._connect_timeout_s = connect_timeout_s
        self._stop = threading.Event()
        self._guard = GuardedSection(engine, layout, self._stop.is_set)
        self._hold = Hold(
            engine.clock, self._guard.check_fit, self._check_abort, lambda why, s: self._tell(Held(why, s))
        )
        self._progress = Progress(problem.n_channel)
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
        guard, setpoint = self._guard, self._guard.snapshot.setpoint_a
        self._report(measured, setpoint)
        history = np.repeat(measured.orbit_mm[None], 3, axis=0)
        new = self._propose(history, measured.valid, setpoint)
        guard.check(new, setpoint)
        predicted = measured.orbit_mm + self._problem.response_mm_per_a @ (new - setpoint)
        rms = float(orbit_rms(measured.orbit_mm, measured.valid))
        advice = Advice(setpoint, new, rms, float(orbit_rms(predicted, measured.valid)))
        self._tell(advice)
        return self._result(Outcome.ADVISED, f"nothing written for {self._problem.task}"), advice

    def _arm(self) -> Measurement:
        """Check everything, remember what was found, see that the BPMs can be read; writes nothing."""
        self._agent.start(self._problem)
        snapshot = self._guard.arm(self._connect_timeout_s)
        self._started = self._engine.clock.now()
        self._tell(Armed(snapshot.identity, snapshot.current_ma, snapshot.setpoint_a))
        return self._guard.reader.measure()

    def _tune(self, before: Measurement) -> RunResult:
        p, found = self._problem, self._guard.snapshot.setpoint_a
        self._report(before, found)
        if self._is_done(before):
            return self._result(Outcome.REACHED, "the orbit was already below the target")
        setpoint, before = self._move(lambda _: self._first_move(found), before)
        measured = self._measure()
        self._report(measured, setpoint, "first trend move")
        history = first_history(before.orbit_mm, measured.orbit_mm)
        while not self._is_done(measured):
            reason = self._progress.why_give_up(p.max_steps)
            if reason:
                return self._give_up(reason)
            setpoint, measured = self._move(self._proposer(history, setpoint), measured)
            history[2] = measured.orbit_mm  # measured again where the step had to wait
            self._progress.steps += 1
            measured = self._measure()
            self._report(measured, setpoint)
            history = next_history(history, measured.orbit_mm)
        return self._result(Outcome.REACHED, f"RMS below {p.target_mm:g} mm in two independent measurements")

    def _first_move(self, setpoint: Array) -> Array:
        """The published first move, in the other direction where there is no room."""
        lo, hi = self._limits()
        move = np.where(setpoint + self._problem.first_move_a <= hi, 1.0, -1.0) * self._problem.first_move_a
        return np.clip(setpoint + move, lo, hi)

    def _proposer(self, history: Array, setpoint: Array) -> Callable[[Measurement], Array]:
        def choose(measured: Measurement) -> Array:
            return self._propose(np.vstack([history[:2], measured.orbit_mm]), measured.valid, setpoint)

        return choose

    def _propose(self, history: Array, valid: Mask, setpoint: Array) -> Array:
        """Setpoints of the next step, inside all limits, A.

        Raises:
            AgentError: the agent failed, or proposed what is not one finite number per knob.
        """
        view = OrbitView(history[None].copy(), valid[None].copy(), setpoint[None].copy())
        try:
            change = np.asarray(self._agent.propose(view), dtype=float)
        except Exception as error:
            raise AgentError(f"{self._agent.identity} failed: {type(error).__name__}: {error}") from error
        if change.shape != (1, *setpoint.shape) or not np.isfinite(change).all():
            raise AgentError(f"{self._agent.identity} proposed {change}: not one finite number of A per knob")
        lo, hi = self._limits()
        return np.clip(limited_step(self._problem, setpoint, change[0]), lo, hi)

    def _limits(self) -> tuple[Array, Array]:
        """The description's limits narrowed by the IOC's."""
        knobs = self._guard.knobs
        return np.array([k.lo for k in knobs]), np.array([k.hi for k in knobs])

    def _move(self, choose: Callable[[Measurement], Array], measured: Measurement) -> tuple[Array, Measurement]:
        """Write what is chosen from a measurement; one that is older than a hold is void, and made again.

        Returns:
            the setpoints, A, and the measurement that they were chosen from.
        """
        while True:
            setpoint = choose(measured)
            if self._write(partial(self._guard.move, setpoint)):
                return setpoint, measured
            measured = self._measure()

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
        rms = self._progress.add(measured, setpoint)
        seconds = self._engine.clock.now() - self._started
        orbit, valid = measured.orbit_mm, measured.valid
        self._tell(Stepped(self._progress.steps, rms, orbit, valid, setpoint.copy(), seconds, note))

    def _is_done(self, measured: Measurement) -> bool:
        """Confirmed by a second, independent measurement."""
        target = self._problem.target_mm
        if not is_confirmed(orbit_rms(measured.orbit_mm, measured.valid), target):
            return False
        again = self._measure()
        return bool(is_confirmed(orbit_rms(again.orbit_mm, again.valid), target))

    def _give_up(self, reason: str) -> RunResult:
        """Go back to the best setting seen, or to the snapshot where that was best."""
        best = self._progress.best_setpoint
        if not self._progress.has_gained:
            return self._restore(Outcome.NOT_REACHED, f"{reason}; no setting was better than the first")
        while not self._write(lambda: self._guard.approach(best)):
            pass
        self._report(self._measure(), best, "back to the best")
        if not self._progress.is_better_than_first:
            return self._restore(Outcome.NOT_REACHED, f"{reason}; read again, no setting was better than the first")
        return self._result(Outcome.NOT_REACHED, f"{reason}; best setting kept")

    def _restore(self, outcome: Outcome, reason: str) -> RunResult:
        report = self._guard.restore()
        self._tell(Restored(report.lines))
        if report.interrupt is not None:
            raise report.interrupt
        self._progress.forget_last()
        try:
            self._progress.see(self._guard.reader.measure())
        except Exception as error:
            reason += f"; the orbit afterwards is not known: {error}"
        return self._result(outcome, reason, report)

    def _result(self, outcome: Outcome, reason: str, report: RestoreReport | None = None) -> RunResult:
        g = self._progress
        return RunResult(
            outcome=outcome,
            steps=g.steps,
            initial_rms_mm=g.initial_rms,
            final_rms_mm=g.last_rms,
            restored=report is not None and report.is_complete,
            writes=self._guard.writes,
            reason=reason,
            initial_orbit_mm=g.initial.orbit_mm,
            final_orbit_mm=g.last.orbit_mm,
            valid=g.last.valid,
            restore=() if report is None else tuple(report.lines),
        )
