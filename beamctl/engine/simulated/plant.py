"""What stands behind the in-process engine and the soft IOC: simulated machines as their control system sees them.

A plant has no clock: whoever owns it calls :meth:`Plant.advance` (the soft IOC by wall clock, the in-process engine
by virtual time). There is one for each kind of machine, and :class:`beamctl.engine.simulated.whole_plant.WholePlant`
for several; :func:`beamctl.engine.simulated.factory.make_plant` makes them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Channel


@dataclass(frozen=True)
class Sample:
    """A value as the IOC publishes it."""

    value: float | str
    severity: Severity = Severity.NO_ALARM


class Plant(Protocol):
    """PVs that can be put and read, and time that passes."""

    @property
    def channels(self) -> Mapping[str, Channel]:
        """Every PV by its name."""

    @property
    def rate_hz(self) -> float:
        """How often instruments are read."""

    @property
    def scenario(self) -> str:
        """How far the plant is from its description, by name."""

    @property
    def seed(self) -> int:
        """Which machine of the scenario it is."""

    def put(self, pv: str, value: float) -> float:
        """Take a setpoint, permit or seed, clamped to its limits as a record would; returns what is held.

        Raises:
            ValueError: the PV is read-only or the value is not finite.
        """

    def setpoint(self, pv: str) -> float | str:
        """What a setpoint, permit, seed or text PV holds."""

    def is_settled(self, pv: str) -> bool:
        """Whether a supply moves no more (True for everything that does not ramp)."""

    def time_left(self, pv: str) -> float:
        """How long the supply behind a setpoint still ramps, s (0 for everything that does not ramp)."""

    def jam(self, pvs: Collection[str]) -> None:
        """Break supplies: these take their setpoints and do not follow them; all others follow (again)."""

    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass."""

    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """One reading of every instrument: readbacks, BPMs, currents, heartbeat.

        Args:
            sections: whose instruments are looked at; all unless told.
        """
