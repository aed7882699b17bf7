"""What needs neither training nor readings: towards the optimum of the model without errors."""

import numpy as np

from beamctl.task.transmission import Array
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView


class DesignAgent:
    """Goes straight to the design setting, and stays there."""

    name = "design"
    identity = "design"

    def start(self, problem: TransmissionProblem) -> None:
        """Keep the problem."""
        self._problem = problem

    def propose(self, view: TransmissionView) -> Array:
        """The rest of the way, at most a full step; all knobs arrive together. Shape (batch, k)."""
        way = self._problem.optimum_a - view.setpoint_a
        steps = np.abs(way / self._problem.step_a).max(axis=-1, keepdims=True)
        return np.asarray(way / np.maximum(steps, 1.0))
