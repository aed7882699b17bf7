"""Axes with round numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """From numbers to places on paper.

    Attributes:
        lo, hi: numbers at the ends.
        start, end: places of the ends.
        ticks: round numbers between them.
    """

    lo: float
    hi: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The place of a number."""
        return self.start + (value - self.lo) / (self.hi - self.lo) * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick for people."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        digits = max(0, 1 - math.floor(math.log10(step))) if step < 1 or step % 1 else 0
        return f"{tick:.{digits}f}"


def scale(values: Iterable[float], start: float, end: float, *, most: int = 6, least_step: float = 0.0) -> Scale:
    """A scale that holds all values and ends at round numbers.

    Args:
        values: finite; may be none at all.
        start, end: places on paper.
        most: ticks.
        least_step: between ticks.
    """
    found = list(values) or [0.0, 1.0]
    lo, hi = min(found), max(found)
    if hi - lo < 1e-12 * max(1.0, abs(hi)):
        lo, hi = lo - 0.5, hi + 0.5
    step = _step(max((hi - lo) / (most - 1), least_step))
    first, last = math.floor(lo / step), math.ceil(hi / step)
    ticks = tuple(step * i for i in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in _ROUND if factor * power >= rough * (1 - 1e-9))
