"""One orbit episode on one machine, as a Gymnasium environment over any engine.

### Observation
``Box(-inf, inf, (3, columns), float32)``: rows S(t-1) - S(t-2), S(t) - S(t-1), S(t); see :mod:`beamctl.task.encoding`.
*normalised*: one column per corrector slot (10), in model steps; *raw*: one per BPM channel, mm.

### Action
``Box(-1, 1, (k,), float32)``, one per corrector in the task's order; 1 is one full step of the problem.

### Reward
-RMS + 0.4 D; the step that reaches the target adds 50 + 3 x steps left; see :mod:`beamctl.task.orbit`.

### Ends
``terminated``: RMS below the target, or a fault: the orbit cannot be read (out of range, no beam); the reward is then
minus the largest believable reading and ``info["fault"]`` says why. ``truncated``: budget of steps spent.

### Start
``reset`` re-arms the guard (and draws another simulated machine where it may), reads, moves every corrector by the
first trend move, reads again. Every put goes through the guard.

### Version history
v1: first.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from beamctl.engine.guarded import GuardedSection
from beamctl.engine.reader import Measurement
from beamctl.env.batched_env import ObservationKind
from beamctl.errors import PermitLostError, StaleReadingError
from beamctl.task.encoding import SLOTS, Normalisation, first_history, next_history, normaliser, spread, trend
from beamctl.task.orbit import Array, is_reached, orbit_rms, step_reward, success_bonus
from beamctl.task.problem import OrbitProblem, limited_step

DRAWS = 20
"""machines to draw before giving up on one that can be read"""

Observation = NDArray[np.float32]
Action = NDArray[np.float32]


class TuningEnv(gymnasium.Env[Observation, Action]):
    """Gymnasium environment of one orbit task.

    Args:
        make_guard: a fresh guard on the section; called at every reset.
        problem: limits, target, budget, nominal response (n, k).
        normalisation: of the normalised observation.
        kind: which observation.
        redraw: makes a simulated machine draw new errors from a seed; None leaves the machine as it is.
        largest_mm: largest believable BPM reading.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        make_guard: Callable[[], GuardedSection],
        problem: OrbitProblem,
        normalisation: Normalisation,
        kind: ObservationKind = "normalised",
        redraw: Callable[[int], None] | None = None,
        largest_mm: float = 15.0,
    ) -> None:
        self._make_guard = make_guard
        self._problem = problem
        self._normalisation = normalisation
        self._kind = kind
        self._redraw = redraw
        self._largest_mm = largest_mm
        columns = problem.n_channel if kind == "raw" else SLOTS
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3, columns), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (problem.n_corrector,), np.float32)
        self._guard: GuardedSection | None = None
        self._setpoint: Array = np.zeros(problem.n_corrector)
        self._history: Array = np.zeros((3, problem.n_channel))
        self._steps = 0
        self._seen = np.zeros((3, columns), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; ``options={"machine_seed": n}`` asks for one simulated machine in particular."""
        super().reset(seed=seed)
        chosen = (options or {}).get("machine_seed")
        if self._redraw is None:
            return self._begin()
        if chosen is not None:
            self._redraw(int(chosen))
            return self._begin()
        for _ in range(DRAWS):
            self._redraw(int(self.np_random.integers(2**31 - 1)))
            try:
                return self._begin()
            except (StaleReadingError, PermitLostError):
                continue  # a machine whose orbit cannot be read as it is found: draw another
        raise StaleReadingError(f"{DRAWS} machines in a row could not be read as they were found")

    def _begin(self) -> tuple[Observation, dict[str, Any]]:
        """Arm, read, first trend move, read."""
        self._guard = self._make_guard()
        start = self._guard.arm().setpoint_a
        before = self._guard.reader.measure()
        self._setpoint = np.clip(start + self._problem.first_move_a, self._problem.lo_a, self._problem.hi_a)
        self._guard.move(self._setpoint)
        after = self._guard.reader.measure()
        self._history = first_history(before.values, after.values)
        self._steps = 0
        return self._observation(after), self._info(after)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move, measure, judge."""
        if self._guard is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        p = self._problem
        change = np.clip(np.asarray(action, dtype=float), -1, 1) * p.step_a
        setpoint = limited_step(p, self._setpoint, change)
        try:
            self._guard.move(setpoint)
            self._setpoint = setpoint
            measured = self._guard.reader.measure()
        except (StaleReadingError, PermitLostError) as error:
            return self._fault(str(error))
        previous = self._history[2]
        self._history = next_history(self._history, measured.values)
        self._steps += 1
        left = p.max_steps - self._steps
        reward = float(step_reward(previous, measured.values, measured.valid))
        terminated = bool(is_reached(orbit_rms(measured.values, measured.valid), p.target_mm))
        if terminated:
            reward += float(success_bonus(left))
        return self._observation(measured), reward, terminated, not terminated and left <= 0, self._info(measured)

    def _fault(self, reason: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The episode ends where the orbit can no longer be read; it counts as an orbit at the edge of belief."""
        self._guard = None
        return self._seen, -self._largest_mm, True, False, {"fault": reason}

    def _observation(self, measured: Measurement) -> Observation:
        rows = trend(self._history)
        if self._kind == "normalised":
            p = self._problem
            inverse = normaliser(p.response_mm_per_a * p.step_a, self._normalisation, measured.valid)
            rows = spread(rows @ inverse.T, p.slots)
        self._seen = rows.astype(np.float32)
        return self._seen

    def _info(self, measured: Measurement) -> dict[str, Any]:
        return {
            "rms_mm": float(orbit_rms(measured.values, measured.valid)),
            "setpoint_a": self._setpoint.copy(),
            "orbit_mm": measured.values,
        }
