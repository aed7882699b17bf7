"""What all optimisers promise: a generator that asks for a point and is sent what has been read since.

Points are settings in ranges above the lower limits, in [0, 1]^k. A search yields the point that it wants to know and
is sent a :class:`Told`: all readings on the way there, the last one at the point itself. The first point it is given
is the start, already read. A search that returns has nothing left to ask.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """Readings since the last question, the newest last.

    Attributes:
        x: where, in ranges, shape (m, k).
        value: what is raised, in units of its scale, shape (m,).
    """

    x: Array
    value: Array

    @property
    def last(self) -> float:
        """Value at the point that was asked for."""
        return float(self.value[-1])


Asking: TypeAlias = Generator[Array, Told, None]


@dataclass(frozen=True)
class Situation:
    """Where a search begins.

    Attributes:
        x: start, in ranges, shape (k,).
        value: read there.
        step: largest change in one step, in ranges, shape (k,).
        steps: budget.
        rng: the only source of randomness.
    """

    x: Array
    value: float
    step: Array
    steps: int
    rng: np.random.Generator


class Search(Protocol):
    """Starts an optimisation."""

    def __call__(self, situation: Situation) -> Asking:
        """Ask for points until there is nothing left to ask."""
