"""What a run has seen so far, and which setting was best."""

import math
from dataclasses import replace

import numpy as np

from beamctl.engine.reader import Measurement
from beamctl.run.course import Array, Course, Figures, Visit, unknown


class Progress:
    """Settings and readings of one run.

    Args:
        course: says what a reading is worth.

    Attributes:
        steps: taken so far, a first trend move not counted.
        visits: every setting, the newest last.
        best: the visit with the smallest cost so far.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self.steps = 0
        self.visits: list[Visit] = []
        self.best: Visit | None = None
        self._best_step = 0
        self._first_own = 0
        self._final: Measurement | None = None
        self._is_final_known = True

    def add(self, visit: Visit) -> None:
        """Note a setting and its reading."""
        self.visits.append(visit)
        if self.best is None or self._course.cost(visit.measured) < self.best_cost:
            self.best, self._best_step = visit, self.steps

    def measured_again(self, setpoint_a: Array, measured: Measurement) -> None:
        """The newest reading is void: this one takes its place."""
        self.visits[-1] = replace(self.visits[-1], setpoint_a=setpoint_a, measured=measured)
        if self.best is None:
            self.best, self._best_step = self.visits[-1], self.steps
            self._first_own = len(self.visits) - 1

    def start_over(self) -> None:
        """Somebody else's setting is the base from now on: no earlier one is gone back to."""
        self.best, self._first_own = None, len(self.visits)

    @property
    def own_visits(self) -> list[Visit]:
        """Settings that the run may go back to."""
        return self.visits[self._first_own :]

    def end_with(self, measured: Measurement | None) -> None:
        """What the machine reads after a restore; None: it could not be read."""
        self._final, self._is_final_known = measured, measured is not None

    @property
    def first_cost(self) -> float:
        """Cost of the reading at the start."""
        return self._course.cost(self.visits[0].measured)

    @property
    def best_cost(self) -> float:
        """Smallest cost so far; infinite before the first reading."""
        return math.inf if self.best is None else self._course.cost(self.best.measured)

    @property
    def last_cost(self) -> float:
        """Cost of the newest reading."""
        return self._course.cost(self.visits[-1].measured)

    @property
    def initial(self) -> Measurement | None:
        """The first reading."""
        return self.visits[0].measured if self.visits else None

    @property
    def final(self) -> Measurement | None:
        """The newest reading; None where the machine has not been read since it was moved last."""
        if self._final is not None or not self._is_final_known or not self.visits:
            return self._final
        return self.visits[-1].measured

    @property
    def has_gained(self) -> bool:
        """Whether any setting was better than the first."""
        return self.best_cost < self.first_cost

    @property
    def is_better_than_first(self) -> bool:
        """Whether the newest reading is."""
        return self.last_cost < self.first_cost

    def why_give_up(self) -> str:
        """A reason to end a run that is short of its goal; empty while there is none."""
        course = self._course
        if self.steps >= course.max_steps:
            return f"budget of {course.max_steps} steps spent"
        return course.why_give_up(self.steps, self.last_cost, self.first_cost, self.steps - self._best_step)

    def figures(self, measured: Measurement | None) -> Figures:
        """What is reported of a reading; NaN where there is none."""
        if measured is not None:
            return self._course.figures(measured)
        known = self.initial
        return unknown([] if known is None else list(self._course.figures(known)))

    def values(self, measured: Measurement | None) -> Measurement:
        """A reading, or one that is not valid anywhere."""
        if measured is not None:
            return measured
        n = 0 if self.initial is None else len(self.initial.values)
        return Measurement(np.full(n, math.nan), np.zeros(n, bool))
