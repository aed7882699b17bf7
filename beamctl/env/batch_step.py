"""What one step of many episodes gives, whatever the task."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BatchStep:
    """What one step of all episodes gave; shapes (n, ...).

    Attributes:
        observation: of the episodes that run now, shape (n, rows, columns).
        reward: shape (n,).
        terminated: target reached.
        truncated: budget spent, target not reached.
        ended: rows that ended, and hold a fresh episode now.
        final_observation: of the episodes that ended, rows of ``ended``.
    """

    observation: Array
    reward: Array
    terminated: Mask
    truncated: Mask
    ended: NDArray[np.int64]
    final_observation: Array


class BatchedEnv(Protocol):
    """Episodes in step; those that end are replaced at once.

    Attributes:
        observation_shape: of one episode.
        n_action: length of an action in [-1, 1].
    """

    @property
    def observation_shape(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def n_action(self) -> int: ...  # noqa: D102

    def __len__(self) -> int: ...

    def reset(self) -> Array:
        """Fresh episodes everywhere; the first observation."""

    def step(self, action: Array) -> BatchStep:
        """Apply one action to every episode."""
