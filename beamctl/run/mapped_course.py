"""Orbit correction in the coordinates that a preflight has found; every reading teaches more of the response."""

from dataclasses import dataclass, field

import numpy as np

from beamctl.agent.base import OrbitAgent
from beamctl.agent.mapped import MappedAgent
from beamctl.engine.reader import Measurement
from beamctl.run.course import Figures
from beamctl.run.orbit_course import OrbitCourse
from beamctl.task.mapping import Mapping
from beamctl.task.orbit import Array, orbit_rms
from beamctl.task.problem import OrbitProblem

BLIND_STEPS = 5
"""a run that cannot see a channel uses what its model says there for as long as that brings a gain in so many steps"""


@dataclass(frozen=True)
class CompletedMeasurement(Measurement):
    """A reading, and the orbit that it stands for.

    Attributes:
        orbit_mm: channels in true signs, filled with what is expected where nothing can be read, shape (n,).
    """

    orbit_mm: Array = field(kw_only=True)


class MappedOrbitCourse(OrbitCourse):
    """See :class:`beamctl.run.course.Course`. The RMS is of all channels, missing ones as expected.

    Args:
        problem: as described.
        agent: who proposes.
        mapping: what a preflight of this section has found.
    """

    def __init__(self, problem: OrbitProblem, agent: OrbitAgent, mapping: Mapping) -> None:
        self._mapped = MappedAgent(agent, mapping)
        self._is_blind = not bool(mapping.wiring.responds.all())
        super().__init__(problem, self._mapped)

    @property
    def response_mm_per_a(self) -> Array:
        """What was found, mm/A, shape (n, k)."""
        return np.asarray(self._mapped.response_mm_per_a[0])

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """Learn from it, and fill in what it does not hold."""
        one = setpoint_a[None], measured.values[None], measured.valid[None]
        self._mapped.learn(*one)
        return CompletedMeasurement(
            measured.values, measured.valid, measured.raw, orbit_mm=self._mapped.completed(*one)[0]
        )

    def cost(self, measured: Measurement) -> float:
        """RMS, mm."""
        return (
            float(orbit_rms(measured.orbit_mm))
            if isinstance(measured, CompletedMeasurement)
            else super().cost(measured)
        )

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """RMS by the response that was found, mm."""
        values = now.values + self.response_mm_per_a @ change_a
        if not isinstance(now, CompletedMeasurement):
            return self.figures(Measurement(values, now.valid))
        orbit = now.orbit_mm + self._mapped.true_response_mm_per_a[0] @ change_a
        return self.figures(CompletedMeasurement(values, now.valid, orbit_mm=orbit))

    def is_done(self, measured: Measurement) -> bool:
        """As without a preflight; where a channel is missing, never before nothing is gained any more."""
        return not self._is_blind and super().is_done(measured)

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """As without a preflight, but sooner where a channel is missing."""
        if self._is_blind and steps_since_best >= BLIND_STEPS:
            return f"a BPM is missing; nothing gained by the model's estimate in {BLIND_STEPS} steps"
        return super().why_give_up(steps, cost, first_cost, steps_since_best)
