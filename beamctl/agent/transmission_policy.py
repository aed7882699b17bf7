"""The TBSAC agent for the transmission task. The network itself is whatever ``infer`` calls (ONNX or torch)."""

import numpy as np

from beamctl.agent.base import Seen
from beamctl.agent.policy import Infer, infer_rows
from beamctl.errors import IncompatibleAgentError
from beamctl.task.transmission import Array
from beamctl.task.transmission_encoding import FEATURES, KNOBS, Mask, encode, episode_of, knob_scale
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView


class TransmissionPolicyAgent:
    """Trend-based soft actor-critic, after training: the mean action of the policy.

    An action of 1 is one full step of the problem, whatever the step is; knobs that take no part have zero columns.

    Args:
        identity: for records.
        infer: the network, observations (batch, 5, 9) to actions (batch, 6) in [-1, 1].
    """

    name = "tbsac"

    def __init__(self, identity: str, infer: Infer) -> None:
        self.identity = identity
        self._infer = infer

    def start(self, problem: TransmissionProblem) -> None:
        """Keep the problem and the scale of its knobs.

        Raises:
            IncompatibleAgentError: a knob has no place among the six.
        """
        if problem.slots.max() >= KNOBS:
            raise IncompatibleAgentError(
                f"agent {self.identity} moves {KNOBS} knobs, {problem.task} has one in place {problem.slots.max()}"
            )
        self._problem = problem
        self._scale = knob_scale(problem)

    @property
    def features(self) -> tuple[str, ...]:
        """What each number of an observation is, row by row, for people."""
        return FEATURES

    def propose(self, view: TransmissionView) -> Array:
        """Mean action for what the episode has shown, in A, shape (batch, k)."""
        return self.act(self.observe(view))

    def observe(self, view: TransmissionView) -> Seen:
        """What the network gets, shape (batch, 5, 9)."""
        p = self._problem
        observation = encode(episode_of(view, p), self._scale, p.floor_ma, p.source_ma)
        return Seen(observation, np.ones(view.setpoint_a.shape, bool))

    def act(self, seen: Seen, given: Mask | None = None) -> Array:
        """Mean action, in A; see :class:`beamctl.agent.base.Policy`."""
        action = infer_rows(self._infer, seen.observation, given)
        return np.asarray(action[:, self._problem.slots] * self._problem.step_a)
