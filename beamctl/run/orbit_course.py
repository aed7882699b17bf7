"""Orbit correction as the course of a run; the task itself stands in :mod:`beamctl.task.orbit`."""

from collections.abc import Sequence

import numpy as np

from beamctl.agent.base import OrbitAgent, note_of
from beamctl.engine.reader import Measurement
from beamctl.run.course import Figures, Visit, one_row
from beamctl.task.orbit import Array, is_confirmed, orbit_rms
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step

WORSE_THAN_START = 1.2
"""a run that is worse than at the start by this factor is given up"""
NO_GAIN_STEPS = 10
"""a run that has not improved for so many steps is given up"""
ROWS = 3
"""readings that make a trend"""


class OrbitCourse:
    """See :class:`beamctl.run.course.Course`.

    Args:
        problem: limits, target, budget, nominal response.
        agent: who proposes.
    """

    slack = 0.0
    goes_back = False
    is_all_or_nothing = False

    def __init__(self, problem: OrbitProblem, agent: OrbitAgent) -> None:
        self.problem = problem
        self._agent = agent
        self.task = problem.task
        self.goal = f"RMS below {problem.target_mm:g} mm"
        self.proposer = agent.identity
        self.max_steps = problem.max_steps

    @property
    def response_mm_per_a(self) -> Array:
        """What a change of the setpoints is expected to do to the channels as they read, mm/A, shape (n, k)."""
        return self.problem.response_mm_per_a

    def start(self) -> None:
        """Prepare the agent."""
        self._agent.start(self.problem)

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """As read."""
        return measured

    def cost(self, measured: Measurement) -> float:
        """RMS, mm."""
        return float(orbit_rms(measured.values, measured.valid))

    def figures(self, measured: Measurement) -> Figures:
        """RMS, mm."""
        return {"rms_mm": self.cost(measured)}

    def first_move(self, setpoint_a: Array) -> Array | None:
        """The published first move, in the other direction where there is no room."""
        move = self.problem.first_move_a
        return np.where(setpoint_a + move <= self.problem.hi_a, move, -move)

    def propose(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """What the agent makes of the last three readings; older ones than the first are taken to be like it."""
        rows = [v.measured.values for v in visits[-ROWS:]]
        history = np.stack([rows[0]] * (ROWS - len(rows)) + rows)
        now = visits[-1]
        view = OrbitView(history[None], now.measured.valid[None].copy(), now.setpoint_a[None].copy())
        return one_row(self._agent.propose(view))

    def note(self) -> str:
        """What the agent says."""
        return note_of(self._agent)

    def limited(self, setpoint_a: Array, change_a: Array) -> Array:
        """Within step and limits."""
        return limited_step(self.problem, setpoint_a, change_a)

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """RMS by the nominal response, mm."""
        return self.figures(Measurement(now.values + self.problem.response_mm_per_a @ change_a, now.valid))

    def is_done(self, measured: Measurement) -> bool:
        """Far enough below the target for offsets not to matter."""
        return bool(is_confirmed(self.cost(measured), self.problem.target_mm))

    def is_reached(self, measured: Measurement) -> bool:
        """RMS below the target."""
        return self.cost(measured) < self.problem.target_mm

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """Worse than at the start, or no gain for long."""
        if cost > WORSE_THAN_START * first_cost and steps > 1:
            return f"{cost:.2f} mm is worse than the {first_cost:.2f} mm at the start"
        if steps_since_best >= NO_GAIN_STEPS:
            return f"no gain in {NO_GAIN_STEPS} steps"
        return ""
