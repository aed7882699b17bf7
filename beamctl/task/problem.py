"""An orbit task made concrete: who moves, what is read, what the model expects.

Built once per run from the machine description (:func:`beamctl.wiring`), used by environments, agents and runs alike.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beamctl.task.orbit import Array, Mask


@dataclass(frozen=True)
class OrbitProblem:
    """One orbit task with ``k`` correctors and ``n`` BPM channels.

    Attributes:
        task: its name.
        response_mm_per_a: nominal response matrix, shape (n, k) or (batch, n, k).
        lo_a, hi_a: setpoint limits, A, shape (k,).
        step_a: largest change in one step, A, shape (k,).
        first_move_a: change of each setpoint that gives the first trend row, A.
        slots: column of each corrector in the normalised observation, shape (k,).
        target_mm: RMS to get below.
        max_steps: budget.
    """

    task: str
    response_mm_per_a: Array
    lo_a: Array
    hi_a: Array
    step_a: Array
    first_move_a: float
    slots: NDArray[np.int64]
    target_mm: float
    max_steps: int

    @property
    def n_corrector(self) -> int:
        """Number of correctors, k."""
        return int(self.response_mm_per_a.shape[-1])

    @property
    def n_channel(self) -> int:
        """Number of BPM channels, n."""
        return int(self.response_mm_per_a.shape[-2])


@dataclass(frozen=True)
class OrbitView:
    """What an agent may know when it proposes a step; arrays carry a leading batch axis.

    Attributes:
        history_mm: the last three readings, shape (batch, 3, n).
        valid: channels to believe, shape (batch, n).
        setpoint_a: present setpoints, shape (batch, k).
    """

    history_mm: Array
    valid: Mask
    setpoint_a: Array


class Limited(Protocol):
    """What limits the knobs of a problem; A, shapes (k,)."""

    @property
    def lo_a(self) -> Array:
        """Smallest setpoints."""

    @property
    def hi_a(self) -> Array:
        """Largest setpoints."""

    @property
    def step_a(self) -> Array:
        """Largest change in one step."""


def limited_step(problem: Limited, setpoint_a: Array, change_a: Array) -> Array:
    """The part of a proposed change that step limit and setpoint limits allow.

    Args:
        problem: limits.
        setpoint_a: present setpoints, A, shape (..., k).
        change_a: proposed change, A, shape (..., k).

    Returns:
        New setpoints, A, shape (..., k).
    """
    change = np.clip(change_a, -problem.step_a, problem.step_a)
    return np.asarray(np.clip(setpoint_a + change, problem.lo_a, problem.hi_a))
