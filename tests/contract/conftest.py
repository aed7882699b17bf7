"""Rigs: for each implementation of the engine a machine that can be broken in the ways of the contract.

A new implementation is added to ``RIGS`` at the end of this file; the suite fails while one is missing there.
"""

import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from beamctl.engine.base import Engine

IOCS = Path(__file__).parent / "iocs"


@dataclass(frozen=True)
class Pvs:
    """The PVs that every rig must have, by what they are for.

    Attributes:
        setpoints: three that take any value within ``Rig.limits`` at once.
        altering: holds another value than ``Rig.altered_value`` when that is put.
        unlimited: numeric, limits not set.
        refusing: numeric and writable, but every put is refused.
        readonly: numeric, access rights forbid a put.
        text: holds ``Rig.text``.
        scanned: updates about ten times a second.
        heartbeat: counts up, at every update.
        invalid: finite value, severity INVALID.
        slow: its put completes when ``slow_readback`` has arrived at the value, some time later.
        slow_readback: what ``slow`` has reached.
        held: its put completes at once, except between ``Rig.hold_puts`` and ``Rig.release_puts``.
    """

    setpoints: tuple[str, str, str]
    altering: str
    unlimited: str
    refusing: str
    readonly: str
    text: str
    scanned: str
    heartbeat: str
    invalid: str
    slow: str
    slow_readback: str
    held: str

    @property
    def all(self) -> list[str]:
        """Every PV once."""
        named = (getattr(self, field.name) for field in fields(self))
        flat = (pv for value in named for pv in (value if isinstance(value, tuple) else (value,)))
        return list(dict.fromkeys(flat))


class Rig(ABC):
    """A machine behind one implementation of the engine.

    Attributes:
        implementation: module of the engine class.
        pvs: names of the PVs, valid after :meth:`revive`.
        limits, units, precision: what ``pvs.setpoints`` say of themselves.
        altered_value: a value that ``pvs.altering`` does not keep.
        text: value of ``pvs.text``.
        host: begin of ``Meta.host``.
        readback_tolerance: largest distance of ``pvs.slow_readback`` from a completed put.
        patience_s: how long an answer may take that will come. Never asserted on.
        impatience_s: how long to wait for an answer that will not come.
    """

    implementation: str
    pvs: Pvs
    limits: tuple[float, float] = (-5.0, 5.0)
    units: str = "A"
    precision: int = 3
    altered_value: float = 9.0
    text: str = "contract machine"
    host: str = "127.0.0.1:"
    readback_tolerance: float = 0.01
    patience_s: float = 30.0
    impatience_s: float = 0.3

    @abstractmethod
    def revive(self) -> None:
        """Bring the machine up if it is gone."""

    @abstractmethod
    def make_engine(self) -> Engine:
        """An engine that was not started."""

    @abstractmethod
    def freeze(self) -> None:
        """The machine stays connected, but nothing moves and nothing answers."""

    @abstractmethod
    def thaw(self) -> None:
        """The machine goes on where it stood; nothing happens to one that runs or is gone."""

    @abstractmethod
    def kill(self) -> None:
        """The machine is gone."""

    @abstractmethod
    def hold_puts(self) -> None:
        """Puts to ``pvs.held`` do not complete from now on; everything else works."""

    @abstractmethod
    def release_puts(self) -> None:
        """Let them complete, also those sent before; nothing happens where none is held."""

    @abstractmethod
    def start_neighbour(self) -> str:
        """Bring up one more writable PV, which :meth:`kill_neighbour` takes away; returns its name."""

    @abstractmethod
    def kill_neighbour(self) -> None:
        """Disconnect that PV and no other; nothing happens where there is none."""


class IocRig(Rig):
    """Channel Access to an IOC in a process of its own."""

    implementation = "beamctl.engine.epics.engine"

    def __init__(self, script: str, start_ioc: Callable) -> None:
        self._script = script
        self._start_ioc = start_ioc
        self._ioc = None
        self._neighbour = None

    def revive(self) -> None:
        if self._ioc is not None:
            return
        prefix, self._ioc = self._start()
        setpoints = (f"{prefix}:SET1", f"{prefix}:SET2", f"{prefix}:SET3")
        self.pvs = Pvs(
            setpoints=setpoints,
            altering=setpoints[0],
            unlimited=f"{prefix}:FREE",
            refusing=f"{prefix}:REFUSING",
            readonly=f"{prefix}:READONLY",
            text=f"{prefix}:IDENTITY",
            scanned=f"{prefix}:SCANNED",
            heartbeat=f"{prefix}:HEARTBEAT",
            invalid=f"{prefix}:BAD",
            slow=f"{prefix}:SLOW",
            slow_readback=f"{prefix}:SLOW:RBV",
            held=f"{prefix}:GATED",
        )

    def make_engine(self) -> Engine:
        from beamctl.engine.epics.engine import EpicsEngine

        return EpicsEngine(expected_hosts=["127.0.0.1"], readback_timeout_s=2 * self.impatience_s)

    def freeze(self) -> None:
        self._ioc.freeze()

    def thaw(self) -> None:
        if self._ioc is not None:
            self._ioc.thaw()

    def kill(self) -> None:
        self._ioc.close()
        self._ioc = None

    def hold_puts(self) -> None:
        self._ioc.command("hold")

    def release_puts(self) -> None:
        if self._ioc is not None:
            self._ioc.command("release")

    def start_neighbour(self) -> str:
        prefix, self._neighbour = self._start()
        return f"{prefix}:SET1"

    def kill_neighbour(self) -> None:
        if self._neighbour is not None:
            self._neighbour.close()
            self._neighbour = None

    def _start(self):
        prefix = f"t{secrets.token_hex(4)}"
        return prefix, self._start_ioc([sys.executable, str(IOCS / self._script), prefix])


class FencedRig(IocRig):
    """Fences of the base IOC in front of its setpoints, wider than the limits of the records themselves."""

    def make_engine(self) -> Engine:
        from beamctl.engine.fenced import FencedEngine
        from beamctl.engine.layout import Fence

        pvs = (*self.pvs.setpoints, self.pvs.slow, self.pvs.held, self.pvs.refusing)
        clock = self.pvs.heartbeat.replace("HEARTBEAT", "Clock")
        fences = {pv: Fence(f"{pv}:FENCE:Request", f"{pv}:FENCE:Acknowledge", clock) for pv in pvs}
        return FencedEngine(super().make_engine(), fences, readback_timeout_s=2 * self.impatience_s)


class SimulatedRig(Rig):
    """The in-process engine in front of a simulated plant."""

    implementation = "beamctl.engine.simulated.engine"
    readback_tolerance = 0.3
    host = "in process"

    def __init__(self) -> None:
        self._plant = None
        self._faults = None

    @abstractmethod
    def _make_plant(self):
        """The plant, its PVs and a writable one besides."""

    def revive(self) -> None:
        if self._plant is not None:
            return
        from beamctl.engine.simulated.engine import Faults

        self._plant, self.pvs, self._neighbour = self._make_plant()
        self._faults = Faults(refusing={self.pvs.refusing}, invalid={self.pvs.invalid})

    def make_engine(self) -> Engine:
        from beamctl.engine.simulated.engine import SimulatedEngine

        return SimulatedEngine(self._plant, self._faults)

    def freeze(self) -> None:
        self._faults.frozen = True

    def thaw(self) -> None:
        if self._faults is not None:
            self._faults.frozen = False

    def kill(self) -> None:
        self._faults.lost.update(self._plant.channels)
        self._plant = None

    def hold_puts(self) -> None:
        self._faults.held.add(self.pvs.held)

    def release_puts(self) -> None:
        if self._faults is not None:
            self._faults.held.clear()

    def start_neighbour(self) -> str:
        self._faults.lost.discard(self._neighbour)
        return self._neighbour

    def kill_neighbour(self) -> None:
        self._faults.lost.add(self._neighbour)


class LinacRig(SimulatedRig):
    """Cryomodules."""

    limits = (-74.0, 74.0)
    altered_value = 99.0
    text = "CAFE2-SIMULATED"

    def _make_plant(self):
        from beamctl.engine.simulated.factory import make_plant
        from beamctl.machine.loader import load_linac

        machine = load_linac("cafe2")
        correctors = machine.sections["cm1"].correctors
        bpms = machine.sections["cm1"].bpms
        setpoints = tuple(c.setpoint for c in correctors[:3])
        pvs = Pvs(
            setpoints=setpoints,
            altering=setpoints[0],
            unlimited=machine.permit,
            refusing=correctors[3].setpoint,
            readonly=correctors[0].readback,
            text=machine.identity.pv,
            scanned=bpms[0].x,
            heartbeat=machine.heartbeat.pv,
            invalid=bpms[1].x,
            slow=correctors[4].setpoint,
            slow_readback=correctors[4].readback,
            held=correctors[5].setpoint,
        )
        return make_plant([machine], None, ["err5"], seed=1), pvs, correctors[6].setpoint


class InjectorRig(SimulatedRig):
    """The injector, in one plant with a linac."""

    limits = (-50.0, 50.0)
    altered_value = 60.0
    text = "LPI-SIMULATED"

    def _make_plant(self):
        from beamctl.engine.simulated.factory import make_plant
        from beamctl.machine.loader import load_injector, load_linac

        machine, linac = load_injector("lpi"), load_linac("cafe2")
        (_, second, *correctors), monitors = machine.lebt.knobs, machine.monitors
        setpoints = tuple(c.setpoint for c in correctors[:3])
        neighbour, held = (c.setpoint for c in linac.sections["cm1"].correctors[:2])
        pvs = Pvs(
            setpoints=setpoints,
            altering=setpoints[0],
            unlimited=machine.permit,
            refusing=second.setpoint,
            readonly=correctors[0].readback,
            text=machine.identity.pv,
            scanned=monitors.acct,
            heartbeat=machine.heartbeat.pv,
            invalid=monitors.mfc1,
            slow=correctors[3].setpoint,
            slow_readback=correctors[3].readback,
            held=held,
        )
        return make_plant([linac, machine], None, ["err5", "nominal"], seed=1), pvs, neighbour


RIGS: dict[str, Callable[[Callable], Rig]] = {
    "base": lambda start_ioc: IocRig("base_ioc.py", start_ioc),
    "fenced": lambda start_ioc: FencedRig("base_ioc.py", start_ioc),
    "caproto": lambda start_ioc: IocRig("caproto_ioc.py", start_ioc),
    "simulated": lambda _: LinacRig(),
    "simulated injector": lambda _: InjectorRig(),
}


@pytest.fixture(scope="session", params=RIGS)
def machine(request: pytest.FixtureRequest, start_ioc: Callable) -> Rig:
    """One rig per implementation, shared by the tests of a worker."""
    return RIGS[request.param](start_ioc)


@pytest.fixture
def rig(machine: Rig) -> Iterator[Rig]:
    """A rig with its machine up; tests may leave it frozen, dead or held."""
    machine.revive()
    yield machine
    machine.kill_neighbour()
    machine.thaw()
    machine.release_puts()


@pytest.fixture
def stopped_engine(rig: Rig) -> Iterator[Engine]:
    """An engine that was not started."""
    engine = rig.make_engine()
    yield engine
    engine.close()


@pytest.fixture
def engine(rig: Rig, stopped_engine: Engine) -> Engine:
    """An engine connected to every PV of the rig."""
    stopped_engine.start(rig.pvs.all, rig.patience_s)
    return stopped_engine


@pytest.fixture(scope="session")
def rigs() -> dict[str, Callable[[Callable], Rig]]:
    """The registry itself."""
    return RIGS
