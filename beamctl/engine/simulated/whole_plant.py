"""Several simulated machines as one plant."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from beamctl.engine.simulated.channel import Channel
from beamctl.engine.simulated.machine_plant import AnyMachinePlant
from beamctl.engine.simulated.plant import Sample
from beamctl.errors import MachineDescriptionError


class WholePlant:
    """Machines that share nothing but the time, see :class:`beamctl.engine.simulated.plant.Plant`.

    Each keeps its identity, heartbeat, permit, seed and scenario. Instruments of all are read as often as those of
    the quickest.

    Args:
        plants: the machines, at least one.

    Raises:
        MachineDescriptionError: a machine is given twice, or a PV belongs to two.
    """

    def __init__(self, plants: Sequence[AnyMachinePlant]) -> None:
        _check(plants)
        self.plants = tuple(plants)
        self._owner = {pv: plant for plant in plants for pv in plant.channels}
        self._channels = MappingProxyType({pv: plant.channels[pv] for pv, plant in self._owner.items()})

    @property
    def channels(self) -> Mapping[str, Channel]:
        """Every PV by its name."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """How often instruments are read."""
        return max(plant.rate_hz for plant in self.plants)

    @property
    def scenario(self) -> str:
        """As ``cafe2=err5 lpi=nominal``."""
        return " ".join(f"{plant.machine.name}={plant.scenario}" for plant in self.plants)

    @property
    def seed(self) -> int:
        """That of the first machine."""
        return self.plants[0].seed

    def put(self, pv: str, value: float) -> float:
        """See :meth:`beamctl.engine.simulated.plant.Plant.put`."""
        return self._owner[pv].put(pv, value)

    def setpoint(self, pv: str) -> float | str:
        """What a setpoint, permit, seed or text PV holds."""
        return self._owner[pv].setpoint(pv)

    def is_settled(self, pv: str) -> bool:
        """Whether a supply moves no more."""
        return self._owner[pv].is_settled(pv)

    def time_left(self, pv: str) -> float:
        """How long the supply behind a setpoint still ramps, s."""
        return self._owner[pv].time_left(pv)

    def jam(self, pvs: Collection[str]) -> None:
        """See :meth:`beamctl.engine.simulated.plant.Plant.jam`."""
        for plant in self.plants:
            plant.jam({pv for pv in pvs if self._owner[pv] is plant})

    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass, for all alike."""
        for plant in self.plants:
            plant.advance(dt)

    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """One reading of every instrument; arguments as :meth:`beamctl.engine.simulated.plant.Plant.shot`."""
        return {pv: sample for plant in self.plants for pv, sample in plant.shot(sections).items()}


def _check(plants: Sequence[AnyMachinePlant]) -> None:
    names = Counter(plant.machine.name for plant in plants)
    faults = [f"machine {name!r} is given {count} times" for name, count in names.items() if count > 1]
    owner: dict[str, str] = {}
    for plant in plants:
        for pv in plant.channels:
            first = owner.setdefault(pv, plant.machine.name)
            if first != plant.machine.name:
                faults.append(f"PV {pv!r} belongs to {first} and to {plant.machine.name}")
    if faults:
        raise MachineDescriptionError(faults)
