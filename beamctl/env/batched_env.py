"""Many orbit episodes at once over the batched simulator: the training environment.

Written against plain arrays, so that nothing here needs a learning library; :mod:`beamctl.training.vec_env` presents it
to Stable-Baselines3. Episodes that end are replaced at once by fresh machines; the last observation
of the ended episode is handed over beside the first of the new one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.batch import MachineBatch
from beamctl.env.batch_step import BatchStep
from beamctl.task.encoding import Normalisation, first_history, next_history, normaliser, spread, trend
from beamctl.task.orbit import FELL_WEIGHT, Array, improvement, is_reached, orbit_rms, success_bonus
from beamctl.task.problem import OrbitProblem, limited_step

ObservationKind = Literal["normalised", "raw"]


@dataclass(frozen=True)
class OrbitBatchStep(BatchStep):
    """One step of orbit episodes.

    Attributes:
        rms_mm: RMS of the reading after the step, before replacement, shape (n,).
    """

    rms_mm: Array


class BatchedOrbitEnv:
    """``n`` orbit episodes in step.

    Observation: 3 x columns, see :mod:`beamctl.task.encoding`; *normalised*: one column per corrector slot; *raw*: one
    per BPM channel. Action: [-1, 1] per corrector, 1 = one full step. Reward and ends: :mod:`beamctl.task.orbit`.

    Args:
        batch: the machines.
        problem: limits, steps, target; its response matrix is not used, each row has its module's own.
        normalisation: scale and damping of the normalised observation.
        kind: which observation.
    """

    def __init__(
        self,
        batch: MachineBatch,
        problem: OrbitProblem,
        normalisation: Normalisation,
        kind: ObservationKind = "normalised",
    ) -> None:
        self.batch = batch
        self.problem = problem
        self.kind = kind
        by_module = normaliser(batch.pool.response_mm_per_a * problem.step_a, normalisation)
        self._inverse_t_by_module = np.ascontiguousarray(np.swapaxes(by_module, -1, -2))
        n, channels = batch.working.shape
        self.columns = channels if kind == "raw" else len(spread(np.zeros(problem.n_corrector), problem.slots))
        self.setpoint_a = np.zeros((n, problem.n_corrector))
        self._history = np.zeros((n, 3, channels))
        self._inverse_t = np.zeros((n, channels, problem.n_corrector))
        self._steps = np.zeros(n, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def observation_shape(self) -> tuple[int, int]:
        """Rows and columns of an observation."""
        return 3, self.columns

    @property
    def n_action(self) -> int:
        """Number of correctors."""
        return self.problem.n_corrector

    def reset(self) -> Array:
        """Fresh machines in every row; returns the first observation."""
        rows = np.arange(len(self))
        self.batch.replace(rows)
        self._begin(rows)
        return self.observation()

    def step(self, action: Array) -> OrbitBatchStep:
        """Apply one action to every episode.

        Args:
            action: [-1, 1], shape (n, k).
        """
        self.setpoint_a = limited_step(self.problem, self.setpoint_a, np.clip(action, -1, 1) * self.problem.step_a)
        reading = self.batch.read_mm(self.setpoint_a)
        previous, valid = self._history[:, 2], self.batch.working
        self._history = next_history(self._history, reading)
        self._steps += 1
        rms = orbit_rms(reading, valid)
        terminated = is_reached(rms, self.problem.target_mm)
        left = self.problem.max_steps - self._steps
        gain = FELL_WEIGHT * improvement(previous, reading, valid)
        reward = gain - rms + np.where(terminated, success_bonus(left.astype(float)), 0.0)
        truncated = ~terminated & (left <= 0)
        ended = np.flatnonzero(terminated | truncated)
        observation = self.observation()
        final = observation[ended]
        if len(ended):
            self.batch.replace(ended)
            self._begin(ended)
            observation[ended] = self.observation(ended)
        return OrbitBatchStep(observation, reward, terminated, truncated, ended, final, rms)

    def observation(self, rows: NDArray[np.int64] | slice = slice(None)) -> Array:
        """Observation of the given rows, shape (rows, 3, columns)."""
        rows_trend = trend(self._history[rows])
        if self.kind == "raw":
            return rows_trend
        return spread(rows_trend @ self._inverse_t[rows], self.problem.slots)

    def _begin(self, rows: NDArray[np.int64]) -> None:
        """First reading, first trend move, second reading."""
        start = self.batch.start_a[rows]
        before = self.batch.read_mm(start, rows)
        moved = np.clip(start + self.problem.first_move_a, self.problem.lo_a, self.problem.hi_a)
        self.setpoint_a[rows] = moved
        self._history[rows] = first_history(before, self.batch.read_mm(moved, rows))
        self._inverse_t[rows] = self._inverse_t_by_module[self.batch.module[rows]]
        self._steps[rows] = 0
