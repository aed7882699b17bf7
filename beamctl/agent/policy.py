"""The TBSAC agent: trend in, corrector steps out. The network itself is whatever ``infer`` calls (ONNX or torch)."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beamctl.agent.base import Seen
from beamctl.errors import IncompatibleAgentError
from beamctl.task.encoding import (
    SLOTS,
    TREND,
    Normalisation,
    channel_names,
    feature_names,
    free_correctors,
    normaliser,
    spread,
    trend,
)
from beamctl.task.orbit import Array, Mask
from beamctl.task.problem import OrbitProblem, OrbitView

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""observations (batch, 3, columns) to actions (batch, actions) in [-1, 1]"""


def infer_rows(infer: Infer, observation: Array, given: Mask | None) -> Array:
    """Actions of the rows that are given to the network, zero for the others, shape (batch, actions)."""
    if given is None or given.all():
        return infer(observation.astype(np.float32)).astype(float)
    some = infer(observation[given].astype(np.float32)).astype(float)
    action = np.zeros((len(observation), some.shape[1]))
    action[given] = some
    return action


class TrendPolicyAgent:
    """Trend-based soft actor-critic, after training: the mean action of the policy.

    Args:
        identity: for records.
        infer: the network.
        kind: ``normalised`` (one column per corrector slot) or ``raw`` (one per BPM channel, as published).
        normalisation: of the normalised observation.
        step_share: part of the step limit that an action of 1 means (published: 1 unit of a larger limit).
        columns: of the observation that the network expects.
    """

    name = "tbsac"

    def __init__(
        self,
        identity: str,
        infer: Infer,
        kind: Literal["normalised", "raw"] = "normalised",
        normalisation: Normalisation | None = None,
        step_share: float = 1.0,
        columns: int = SLOTS,
    ) -> None:
        self.identity = identity
        self._infer = infer
        self._kind = kind
        self._normalisation = normalisation or Normalisation()
        self._step_share = step_share
        self._columns = columns

    def start(self, problem: OrbitProblem) -> None:
        """Precompute the model's inverse for healthy BPMs and free correctors."""
        needed = problem.n_channel if self._kind == "raw" else int(problem.slots.max()) + 1
        if needed > self._columns or (self._kind == "raw" and needed != self._columns):
            raise IncompatibleAgentError(
                f"agent {self.identity} sees {self._columns} {self._kind} columns, {problem.task} has {needed}"
            )
        self._problem = problem
        self._response_step = problem.response_mm_per_a * problem.step_a
        self._normaliser = normaliser(self._response_step, self._normalisation)

    @property
    def features(self) -> tuple[str, ...]:
        """What each number of an observation is, row by row, for people."""
        names = feature_names(self._columns) if self._kind == "normalised" else channel_names(self._columns)
        return tuple(f"{row} {column}" for row in TREND for column in names)

    def propose(self, view: OrbitView) -> Array:
        """Mean action for the view's trend, in A."""
        return self.act(self.observe(view))

    def observe(self, view: OrbitView) -> Seen:
        """The trend as the network gets it, shape (batch, 3, columns)."""
        rows = trend(view.history_mm)
        if self._kind == "raw":
            return Seen(rows, np.ones(view.setpoint_a.shape, bool))
        inverse, free = self._inverse(view)
        return Seen(spread(rows @ np.swapaxes(inverse, -1, -2), self._problem.slots, self._columns), free)

    def act(self, seen: Seen, given: Mask | None = None) -> Array:
        """Mean action, in A; see :class:`beamctl.agent.base.Policy`."""
        action = infer_rows(self._infer, seen.observation, given)
        if self._kind == "normalised":
            action = action[:, self._problem.slots]
        return np.asarray(np.where(seen.free, action * self._step_share * self._problem.step_a, 0.0))

    def _inverse(self, view: OrbitView) -> tuple[Array, Mask]:
        """The model's inverse without dead BPMs and without correctors that are held by a limit, and who is free."""
        p = self._problem
        batch = len(view.setpoint_a)
        inverse = np.array(np.broadcast_to(self._normaliser, (batch, *self._normaliser.shape[-2:])))
        response = np.broadcast_to(self._response_step, (batch, *self._response_step.shape[-2:]))
        masked = ~view.valid.all(axis=-1)
        if masked.any():
            inverse[masked] = normaliser(response[masked], self._normalisation, view.valid[masked])
        model_step = -np.matvec(inverse, view.history_mm[:, 2])
        free = free_correctors(model_step, view.setpoint_a, p.lo_a, p.hi_a)
        held = ~free.all(axis=-1)
        if held.any():
            inverse[held] = normaliser(response[held], self._normalisation, view.valid[held], free[held])
        return inverse, free
