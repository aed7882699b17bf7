"""Power supplies that take their time."""

import numpy as np

from simulators.beam import Array


class Ramp:
    """A bank of power supplies of one kind: targets, present values, common slew rate."""

    def __init__(self, start: Array, slew: float) -> None:
        self.target = start.astype(float).copy()
        self.actual = start.astype(float).copy()
        self._slew = slew
        self._is_jammed = np.zeros(len(start), bool)

    def advance(self, dt: float) -> bool:
        """Move towards the targets for ``dt`` seconds; says whether anything moved."""
        gap = self._gap()
        if dt <= 0 or not gap.any():
            return False
        reach = self._slew * dt
        arrived = (np.abs(gap) <= reach) & ~self._is_jammed
        self.actual = np.where(arrived, self.target, self.actual + np.clip(gap, -reach, reach))
        return True

    def time_left(self, index: int) -> float:
        """How long a supply still ramps, s; 0 for a jammed one, which does not."""
        return float(np.abs(self._gap()[index]) / self._slew)

    def is_settled(self, index: int) -> bool:
        """Whether a supply moves no more."""
        return not self._gap()[index]

    def jam(self, index: int, is_jammed: bool) -> None:
        """Have a supply stand still whatever its target, or move again."""
        self._is_jammed[index] = is_jammed

    def _gap(self) -> Array:
        return np.where(self._is_jammed, 0.0, self.target - self.actual)
