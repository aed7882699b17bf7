"""Many transmission episodes at once over the batched injectors: the training environment.

Observation: :mod:`beamctl.task.transmission_encoding`, 5 x 9. Action: [-1, 1] for each of the six knobs, 1 = one full
step; knobs that take no part stay. Reward: the true current behind the RFQ relative to the true current of the source,
below the beam floor how far the ACCT is from it (:func:`~beamctl.task.transmission.objective`). An episode is never
*terminated*: it is cut when its budget is spent, and replaced at once by another machine.
"""

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.injector_batch import InjectorBatch
from beamctl.env.batch_step import BatchStep
from beamctl.task.transmission import Array, objective
from beamctl.task.transmission_encoding import (
    COLUMNS,
    KNOBS,
    ROWS,
    KnobScale,
    encode,
    first_episode,
    next_episode,
)
from beamctl.task.transmission_problem import TransmissionProblem

SOLENOIDS = np.arange(KNOBS) < 2


class BatchedTransmissionEnv:
    """``n`` transmission episodes in step.

    Args:
        batch: the machines; those with a fixed orbit move their solenoids only.
        problem: limits, floor and budget, with all six knobs.
        step_share: step limit of each episode as a share of the knobs' ranges, drawn from this interval.
        rng: of the step limits.
    """

    observation_shape = (ROWS, COLUMNS)
    n_action = KNOBS

    def __init__(
        self,
        batch: InjectorBatch,
        problem: TransmissionProblem,
        step_share: tuple[float, float],
        rng: np.random.Generator,
    ) -> None:
        self.batch = batch
        self.problem = problem
        self._step_share = step_share
        self._rng = rng
        n = len(batch)
        self.setpoint_a = np.zeros((n, KNOBS))
        self._span_a = problem.hi_a - problem.lo_a
        self._scale = KnobScale(
            np.tile(problem.lo_a, (n, 1)), np.tile(problem.hi_a, (n, 1)), np.ones((n, KNOBS)), np.ones((n, KNOBS), bool)
        )
        self._episode = first_episode(np.zeros((n, 2)), np.zeros((n, KNOBS)))
        self._steps = np.zeros(n, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.batch)

    def reset(self) -> Array:
        """Fresh machines in every row; returns the first observation."""
        rows = np.arange(len(self))
        self.batch.replace(rows)
        self._begin(rows)
        return self.observation()

    def step(self, action: Array) -> BatchStep:
        """Apply one action, shape (n, 6), to every episode."""
        p = self.problem
        change = np.clip(action, -1.0, 1.0) * self._scale.step_a * self._scale.free
        self.setpoint_a = np.clip(self.setpoint_a + change, p.lo_a, p.hi_a)
        reading, true = self.batch.read_with_truth_ma(self.setpoint_a)
        readback = self.batch.readback_a(self.setpoint_a)
        self._episode = next_episode(self._episode, reading, readback, p.floor_ma)
        self._steps += 1
        reward = objective(true, p.floor_ma) / self.batch.source_ma
        truncated = self._steps >= p.max_steps
        ended = np.flatnonzero(truncated)
        observation = self.observation()
        final = observation[ended]
        if len(ended):
            self.batch.replace(ended)
            self._begin(ended)
            observation = self.observation()
        return BatchStep(observation, reward, np.zeros(len(self), dtype=bool), truncated, ended, final)

    def observation(self) -> Array:
        """Observation of all rows, shape (n, 5, 9)."""
        return encode(self._episode, self._scale, self.problem.floor_ma, self.problem.source_ma)

    def _begin(self, rows: NDArray[np.int64]) -> None:
        """Step limit and first reading."""
        start = self.batch.start_a[rows]
        self.setpoint_a[rows] = start
        self._scale.step_a[rows] = self._rng.uniform(*self._step_share, (len(rows), 1)) * self._span_a
        self._scale.free[rows] = SOLENOIDS | ~self.batch.fixed_orbit[rows, None]
        reading = self.batch.read_ma(start, rows)
        self._episode.put(rows, first_episode(reading, self.batch.readback_a(start)))
        self._steps[rows] = 0
