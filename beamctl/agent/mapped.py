"""Any orbit agent in the coordinates that a preflight has found, with a response that is learned further on the way.

The agent inside sees a machine as described: supplies in the order of their magnets, polarities and BPM signs right,
dead BPM channels filled with what the other channels let one expect there. After every reading the belief of orbit
and response is updated (recursive least squares with the preflight's posterior as its start).
"""

from collections import deque

import numpy as np

from beamctl.agent.base import OrbitAgent, note_of
from beamctl.agent.gated import GatedAgent
from beamctl.task.belief import Belief
from beamctl.task.mapping import Mapping
from beamctl.task.orbit import Array, Mask
from beamctl.task.problem import OrbitProblem, OrbitView

ROWS = 3


class MappedAgent:
    """See the module; one machine, or a batch of machines with a mapping each.

    Args:
        agent: who proposes; unless it is a gated one, it is started anew after each reading.
        mapping: what the preflight has found.
    """

    def __init__(self, agent: OrbitAgent, mapping: Mapping) -> None:
        self._agent = agent
        single = mapping.wiring.gain.ndim == 1
        self._mapping = _with_axis(mapping) if single else mapping
        self.name = agent.name
        self.identity = f"{agent.identity}+preflight"
        self._belief: Belief = self._mapping.belief
        self._setpoints: deque[Array] = deque(maxlen=ROWS)

    def start(self, problem: OrbitProblem) -> None:
        """Back to what the preflight has found.

        Args:
            problem: as described, a column per supply.
        """
        self._described = problem
        self._belief = self._mapping.belief
        self._setpoints.clear()
        self._agent.start(self._mapping.problem(problem, self._belief))

    @property
    def response_mm_per_a(self) -> Array:
        """What is believed now, a column per supply, channels as they read, shape (batch, n, k)."""
        return np.asarray(self._mapping.wiring.channel_sign[..., None] * self._belief.response_mm_per_a)

    @property
    def true_response_mm_per_a(self) -> Array:
        """The same with the channels in true signs."""
        return self._belief.response_mm_per_a

    def learn(self, setpoint_a: Array, reading_mm: Array, valid: Mask) -> None:
        """Take note of one more independent reading.

        Args:
            setpoint_a: A, shape (batch, k).
            reading_mm: shape (batch, n).
            valid: channels to believe, shape (batch, n).
        """
        found = self._mapping
        usable = valid & found.wiring.responds
        self._belief = self._belief.after(setpoint_a, found.wiring.channel_sign * reading_mm, found.noise_mm, usable)

    def completed(self, setpoint_a: Array, reading_mm: Array, valid: Mask) -> Array:
        """A reading in true signs, filled with what is expected where nothing can be read; as :meth:`learn`."""
        usable = valid & self._mapping.wiring.responds
        true = self._mapping.wiring.channel_sign * reading_mm
        return np.where(usable, true, self._belief.orbit_mm(setpoint_a))

    def propose(self, view: OrbitView) -> Array:
        """The inner agent's proposal per supply, A; supplies that move nothing stay."""
        m = self._mapping
        if not self._setpoints or not np.array_equal(self._setpoints[-1], view.setpoint_a):
            self._setpoints.append(view.setpoint_a.copy())
        before = [self._setpoints[0]] * (ROWS - len(self._setpoints))
        rows = zip([*before, *self._setpoints], np.moveaxis(view.history_mm, 1, 0), strict=True)
        history = np.stack([self.completed(setpoint, reading, view.valid) for setpoint, reading in rows], axis=1)
        problem = m.problem(self._described, self._belief)
        if isinstance(self._agent, GatedAgent):
            self._agent.adapt(problem)
        else:
            self._agent.start(problem)
        inner = OrbitView(history, np.ones_like(view.valid), m.to_found(view.setpoint_a))
        return np.where(m.wiring.works, m.to_supplies(self._agent.propose(inner)), 0.0)

    def note(self) -> str:
        """What the inner agent says."""
        return note_of(self._agent)


def _with_axis(mapping: Mapping) -> Mapping:
    wiring = type(mapping.wiring)(**{name: np.asarray(v)[None] for name, v in vars(mapping.wiring).items()})
    belief = Belief(mapping.belief.mean[None], mapping.belief.covariance[None])
    return Mapping(wiring, belief, mapping.measured_mm_per_a[None], mapping.noise_mm[None], mapping.pair)
