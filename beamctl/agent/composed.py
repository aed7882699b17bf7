"""Two agents one after the other: an approach, then the fine search over everything read so far."""

import numpy as np

from beamctl.agent.base import TransmissionAgent, note_of
from beamctl.agent.gaussian_process import GaussianProcessAgent, GpParameters
from beamctl.task.transmission import Array
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

REACH = 0.18
"""what the approach may travel, in ranges: 3 steps of 6 %, 6 of 3 %. Longer, it is deep in the nearest family, and the
way to the better one costs readings"""


class DesignAgent:
    """Drives straight to where the error-free model has its optimum; stays there."""

    name = "design"
    identity = "design"

    def start(self, problem: TransmissionProblem) -> None:
        """Keep the problem."""
        self._problem = problem

    def propose(self, view: TransmissionView) -> Array:
        """The rest of the way, at most a step, all knobs arriving together; shape (batch, k)."""
        way = self._problem.optimum_a - view.setpoint_a
        most = np.abs(way / self._problem.step_a).max(axis=-1, keepdims=True)
        return np.asarray(way / np.maximum(most, 1.0))


class ApproachThenGpAgent:
    """An approach for the first steps, then the Gaussian process, which sees the whole episode.

    Args:
        name: as on the command line.
        approach: proposes the first steps.
        parameters: of the Gaussian process that takes over.
        reach: the approach has as many steps as a knob needs for this share of its range.
    """

    def __init__(self, name: str, approach: TransmissionAgent, parameters: GpParameters, reach: float = REACH) -> None:
        self.name = name
        self.identity = f"{approach.identity}+gp"
        self._approach = approach
        self._parameters = parameters
        self._reach = reach

    def start(self, problem: TransmissionProblem) -> None:
        """Start both.

        Raises:
            IncompatibleAgentError: one of them does not fit.
        """
        share = float((problem.step_a / (problem.hi_a - problem.lo_a)).min())
        self._steps = min(round(self._reach / share), problem.max_steps // 2)
        self._then = GaussianProcessAgent(self._parameters, since=self._steps)
        self._is_approaching = True
        self._approach.start(problem)
        self._then.start(problem)

    def propose(self, view: TransmissionView) -> Array:
        """Whoever's turn it is."""
        self._is_approaching = view.reading_ma.shape[1] - 1 < self._steps
        return self._approach.propose(view) if self._is_approaching else self._then.propose(view)

    def note(self) -> str:
        """See :class:`beamctl.agent.base.Explains`: what the approach has to say while it is its turn."""
        return note_of(self._approach) if self._is_approaching else ""
