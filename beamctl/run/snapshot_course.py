"""Going back to a setting of an earlier run as the course of a run: same steps, same guard, same record."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from beamctl.engine.reader import Measurement
from beamctl.engine.setpoints import is_same
from beamctl.run.course import Array, Course, Figures, Visit
from beamctl.task.problem import Limited, limited_step

STUCK_STEPS = 3
"""so many steps without coming nearer mean that something is in the way"""


@dataclass(frozen=True)
class PlacedMeasurement(Measurement):
    """A reading, and where the knobs were, A, shape (k,)."""

    setpoint_a: Array = field(kw_only=True)


class SnapshotCourse:
    """See :class:`beamctl.run.course.Course`. The cost is the way that the furthest knob has still to go, A.

    Args:
        task: the task's own course, for the figures; nobody proposes there.
        limits: of the knobs.
        goal_a: setpoints to go to, A, shape (k,).
        words: what they are, for people: "what run 17 has found".
    """

    slack = 0.0
    goes_back = False

    def __init__(self, task: Course, limits: Limited, goal_a: Array, words: str) -> None:
        self._task = task
        self._limits = limits
        self._goal_a = goal_a
        self.task = task.task
        self.goal = f"back at {words}"
        self.proposer = "snapshot"
        self.max_steps = int(np.ceil((limits.hi_a - limits.lo_a) / limits.step_a).max()) + STUCK_STEPS

    def start(self) -> None:
        """Nothing to prepare."""

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """Note where it was read."""
        return PlacedMeasurement(measured.values, measured.valid, measured.raw, setpoint_a=setpoint_a.copy())

    def cost(self, measured: Measurement) -> float:
        """Way to go, A."""
        if not isinstance(measured, PlacedMeasurement):
            raise TypeError("a reading that nobody has placed")
        return float(np.abs(measured.setpoint_a - self._goal_a).max())

    def figures(self, measured: Measurement) -> Figures:
        """Those of the task."""
        return self._task.figures(measured)

    def first_move(self, setpoint_a: Array) -> Array | None:
        """None."""
        return None

    def propose(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """All the way."""
        return np.asarray(self._goal_a - visits[-1].setpoint_a)

    def note(self) -> str:
        """Nothing."""
        return ""

    def limited(self, setpoint_a: Array, change_a: Array) -> Array:
        """Within step and limits."""
        return limited_step(self._limits, setpoint_a, change_a)

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """What the task's model expects."""
        return self._task.predict(now, change_a)

    def is_done(self, measured: Measurement) -> bool:
        """Every knob is there."""
        placed = measured.setpoint_a if isinstance(measured, PlacedMeasurement) else np.full_like(self._goal_a, np.nan)
        return all(map(is_same, placed, self._goal_a))

    def is_reached(self, measured: Measurement) -> bool:
        """Every knob is there."""
        return self.is_done(measured)

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """Something is in the way."""
        if steps_since_best >= STUCK_STEPS:
            return f"{cost:.3g} A away, and no nearer in {STUCK_STEPS} steps: a limit of this run is in the way"
        return ""
