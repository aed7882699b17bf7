"""Going back to a setting of an earlier run as the course of a run: same steps, same guard, same record.

On the straight line between two settings an orbit is never further out than at the worse of its ends, as far as it is
linear; so all knobs arrive together. Half of the way is no setting that anybody has seen: a run that cannot reach its
goal is restored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from beamctl.engine.layout import Knob
from beamctl.engine.reader import Measurement
from beamctl.engine.setpoints import SAME_A, is_same
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
        knobs: of the section.
        goal_a: setpoints to go to, A, shape (k,).
        words: what they are, for people: "the setting that run 17 found".
    """

    slack = 0.0
    goes_back = False
    is_all_or_nothing = True

    def __init__(self, task: Course, limits: Limited, knobs: Sequence[Knob], goal_a: Array, words: str) -> None:
        self._task = task
        self._limits = limits
        self._knobs = knobs
        self._goal_a = goal_a
        self._at_a = goal_a
        self.task = task.task
        self.goal = f"back at {words}"
        self.proposer = "snapshot"
        self.max_steps = int(np.ceil((limits.hi_a - limits.lo_a) / limits.step_a).max()) + STUCK_STEPS

    def start(self) -> None:
        """Nothing to prepare."""

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """Note where it was read."""
        self._at_a = setpoint_a.copy()
        return PlacedMeasurement(measured.values, measured.valid, measured.raw, setpoint_a=self._at_a)

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
        """The rest of the way, at most a step, all knobs arriving together."""
        way = self._goal_a - visits[-1].setpoint_a
        return np.asarray(way / max(1.0, float((np.abs(way) / self._limits.step_a).max())))

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
        """It is too far for one run, or something is in the way."""
        if steps_since_best >= STUCK_STEPS:
            return f"no nearer in {STUCK_STEPS} steps, a limit of the IOC or of this run is in the way: {self._away()}"
        return self._too_far() if steps == 0 else ""

    def _away(self) -> str:
        return ", ".join(
            f"{knob.name} at {at:.4g} A, {goal:.4g} A wanted"
            for knob, at, goal in zip(self._knobs, self._at_a, self._goal_a, strict=True)
            if not is_same(at, goal)
        )

    def _too_far(self) -> str:
        ways = zip(self._knobs, np.abs(self._at_a - self._goal_a), strict=True)
        far = [f"{k.name} by {way:.4g} A ({k.travel:g} A)" for k, way in ways if not way <= k.travel + SAME_A]
        return f"further than one run may move a knob: {', '.join(far)}; nothing written" if far else ""
