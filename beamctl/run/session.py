"""One attempt at one task: arm, snapshot, first trend move, then observe, propose, check, put, verify, settle, measure.

The run ends by itself when two independent measurements are below the target. On failure or abort
the snapshot is restored; a run that ends short of the target goes back to its best setting.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from beamctl.agent.base import Agent
from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection, RestoreOutcome
from beamctl.engine.layout import SectionLayout
from beamctl.engine.orbit_reader import Measurement
from beamctl.errors import BeamControlError, PermitLostError, RunAbortedError, StaleReadingError
from beamctl.run.events import Advice, Armed, Held, Listener, Outcome, Restored, RunResult, Stepped
from beamctl.task.encoding import first_history, next_history
from beamctl.task.orbit import Array, Mask, is_confirmed, orbit_rms
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step

Result = TypeVar("Result")

HOLD_LIMIT_S = 30.0
"""longest wait for bad readings to become good, before the snapshot is restored"""
HOLD_POLL_S = 0.5
WORSE_THAN_START = 1.2
"""a run that is worse than at the start by this factor is given up"""
NO_GAIN_STEPS = 10
"""a run that has not improved for so many steps is given up"""


@dataclass
class _Progress:
    """What the run has seen so far."""

    steps: int = 0
    initial: Measurement | None = None
    initial_rms: float = math.nan
    last: Measurement | None = None
    last_rms: float = math.nan
    best_rms: float = math.inf
    best_step: int = 0
    best_setpoint: Array = field(default_factory=lambda: np.empty(0))


class OrbitRun:
    """Runs an agent on a section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        problem: limits, target, budget, nominal response.
        agent: who proposes.
        listener: told of everything that happens.
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
        self._listener = listener
        self._connect_timeout_s = connect_timeout_s
        self._stop = threading.Event()
        self._guard = GuardedSection(engine, layout, self._stop.is_set)
        self._progress = _Progress()
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
        self._arm()
        try:
            return self._tune()
        except RunAbortedError as error:
            return self._restore(Outcome.ABORTED, str(error))
        except BeamControlError as error:
            return self._restore(Outcome.FAILED, str(error))
        except BaseException:
            self._restore(Outcome.FAILED, "unexpected error")
            raise

    def advise(self) -> tuple[RunResult, Advice]:
        """Propose the next step from the present reading; writes nothing.

        Raises:
            BeamControlError: the machine could not be read.
        """
        self._arm()
        p, guard = self._problem, self._guard
        setpoint = guard.snapshot.setpoint_a
        measured = self._measure()
        self._report(measured, setpoint)
        history = np.repeat(measured.orbit_mm[None], 3, axis=0)
        new = self._propose(history, measured.valid, setpoint)
        predicted = measured.orbit_mm + self._problem.response_mm_per_a @ (new - setpoint)
        rms = float(orbit_rms(measured.orbit_mm, measured.valid))
        advice = Advice(setpoint, new, rms, float(orbit_rms(predicted, measured.valid)))
        self._listener(advice)
        guard.check(new, setpoint)
        return self._result(Outcome.ADVISED, f"nothing written for {p.task}", restored=False), advice

    def _arm(self) -> None:
        self._agent.start(self._problem)
        snapshot = self._guard.arm(self._connect_timeout_s)
        self._started = self._engine.clock.now()
        self._listener(Armed(snapshot.identity, snapshot.current_ma, snapshot.setpoint_a))

    def _tune(self) -> RunResult:
        p = self._problem
        setpoint = self._guard.snapshot.setpoint_a
        before = self._measure()
        self._report(before, setpoint)
        if self._is_done(before):
            return self._result(Outcome.REACHED, "the orbit was already below the target", restored=False)
        setpoint = self._first_move(setpoint)
        self._move(setpoint)
        after = self._measure()
        self._report(after, setpoint, "first trend move")
        history = first_history(before.orbit_mm, after.orbit_mm)
        measured = after
        while not self._is_done(measured):
            reason = self._why_give_up()
            if reason:
                return self._give_up(reason)
            setpoint = self._propose(history, measured.valid, setpoint)
            self._move(setpoint)
            self._progress.steps += 1
            measured = self._measure()
            self._report(measured, setpoint)
            history = next_history(history, measured.orbit_mm)
        reason = f"RMS below {p.target_mm:g} mm in two independent measurements"
        return self._result(Outcome.REACHED, reason, restored=False)

    def _first_move(self, setpoint: Array) -> Array:
        """The published first move, in the other direction where there is no room."""
        lo, hi = self._limits()
        move = np.where(setpoint + self._problem.first_move_a <= hi, 1.0, -1.0) * self._problem.first_move_a
        return np.clip(setpoint + move, lo, hi)

    def _propose(self, history: Array, valid: Mask, setpoint: Array) -> Array:
        view = OrbitView(history[None], valid[None], setpoint[None])
        change = self._agent.propose(view)[0]
        if change.shape != setpoint.shape or not np.isfinite(change).all():
            raise BeamControlError(f"{self._agent.identity} proposed {change}: not finite or not one value per knob")
        lo, hi = self._limits()
        return np.clip(limited_step(self._problem, setpoint, change), lo, hi)

    def _limits(self) -> tuple[Array, Array]:
        """The description's limits narrowed by the IOC's."""
        knobs = self._guard.knobs
        return np.array([k.lo for k in knobs]), np.array([k.hi for k in knobs])

    def _move(self, setpoint: Array) -> None:
        self._hold_until_good(lambda: self._guard.move(setpoint))

    def _measure(self) -> Measurement:
        return self._hold_until_good(self._guard.reader.measure)

    def _hold_until_good(self, action: Callable[[], Result]) -> Result:
        """Repeat an action that was refused because of bad readings or a lost permit; it has written nothing.

        Raises:
            StaleReadingError, PermitLostError: still bad after HOLD_LIMIT_S.
            RunAbortedError: a person or a signal ended the run.
        """
        since = self._engine.clock.now()
        while True:
            self._check_abort()
            try:
                return action()
            except (StaleReadingError, PermitLostError) as error:
                waited = self._engine.clock.now() - since
                if waited >= HOLD_LIMIT_S:
                    raise
                self._listener(Held(str(error), waited))
            self._engine.clock.sleep(HOLD_POLL_S)

    def _check_abort(self) -> None:
        if self._stop.is_set():
            raise RunAbortedError("aborted by the operator")

    def _report(self, measured: Measurement, setpoint: Array, note: str = "") -> None:
        g = self._progress
        rms = float(orbit_rms(measured.orbit_mm, measured.valid))
        if g.initial is None:
            g.initial, g.initial_rms = measured, rms
        g.last, g.last_rms = measured, rms
        if rms < g.best_rms:
            g.best_rms, g.best_step, g.best_setpoint = rms, g.steps, setpoint.copy()
        seconds = self._engine.clock.now() - self._started
        self._listener(Stepped(g.steps, rms, measured.orbit_mm, measured.valid, setpoint, seconds, note))

    def _is_done(self, measured: Measurement) -> bool:
        """Confirmed by a second, independent measurement."""
        target = self._problem.target_mm
        if not is_confirmed(orbit_rms(measured.orbit_mm, measured.valid), target):
            return False
        again = self._measure()
        return bool(is_confirmed(orbit_rms(again.orbit_mm, again.valid), target))

    def _why_give_up(self) -> str:
        g, p = self._progress, self._problem
        if g.steps >= p.max_steps:
            return f"budget of {p.max_steps} steps spent"
        if g.last_rms > WORSE_THAN_START * g.initial_rms and g.steps > 1:
            return f"{g.last_rms:.2f} mm is worse than the {g.initial_rms:.2f} mm at the start"
        if g.steps - g.best_step >= NO_GAIN_STEPS:
            return f"no gain in {NO_GAIN_STEPS} steps"
        return ""

    def _give_up(self, reason: str) -> RunResult:
        """Go back to the best setting seen, or to the snapshot where that was best."""
        g = self._progress
        if g.best_rms >= g.initial_rms:
            return self._restore(Outcome.NOT_REACHED, f"{reason}; no setting was better than the first")
        self._hold_until_good(lambda: self._guard.approach(g.best_setpoint))
        self._report(self._measure(), g.best_setpoint, "back to the best")
        return self._result(Outcome.NOT_REACHED, f"{reason}; best setting kept", restored=False)

    def _restore(self, outcome: Outcome, reason: str) -> RunResult:
        lines = self._guard.restore()
        self._listener(Restored(lines))
        good = {RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED}
        return self._result(outcome, reason, restored=all(line.outcome in good for line in lines))

    def _result(self, outcome: Outcome, reason: str, *, restored: bool) -> RunResult:
        g = self._progress
        nothing = Measurement(np.empty(0), np.empty(0, bool))
        first, last = g.initial or nothing, g.last or nothing
        return RunResult(
            outcome=outcome,
            steps=g.steps,
            initial_rms_mm=g.initial_rms,
            final_rms_mm=g.initial_rms if restored else g.last_rms,
            restored=restored,
            writes=self._guard.writes,
            reason=reason,
            initial_orbit_mm=first.orbit_mm,
            final_orbit_mm=first.orbit_mm if restored else last.orbit_mm,
            valid=last.valid,
        )
