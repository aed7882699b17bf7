"""The PVs that a machine description implies, with what an IOC has to say about each.

The soft IOC makes its records from this list and the in-process engine its answers, so the two cannot differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from beamctl.machine.description import Cell, MachineDescription, Section
from beamctl.machine.quantity import Limits


class Role(StrEnum):
    """What a PV is for."""

    SETPOINT = "setpoint"
    READBACK = "readback"
    BPM = "bpm"
    CURRENT = "current"
    PERMIT = "permit"
    HEARTBEAT = "heartbeat"
    IDENTITY = "identity"
    SEED = "seed"
    SCENARIO = "scenario"


class Device(StrEnum):
    """What a setpoint moves."""

    CORRECTOR = "corrector"
    SOLENOID = "solenoid"
    VOLTAGE = "voltage"
    PHASE = "phase"


@dataclass(frozen=True)
class Channel:
    """One PV.

    Attributes:
        pv: its name.
        role: what it is for.
        description: DESC, at most 40 characters.
        units: EGU.
        precision: PREC.
        section: name of the section, empty for machine-wide PVs.
        device: what a setpoint or readback belongs to.
        index: position among the section's devices of that kind, BPM channels (x1, y1, ...) or ACCTs (0 up, 1 down).
        lo, hi: DRVL/DRVH of a setpoint, LOPR/HOPR of all; NaN where there are none.
        minor, major: absolute value from which a reading alarms; infinite where it never does.
        writable: whether a client may put.
    """

    pv: str
    role: Role
    description: str
    units: str = ""
    precision: int = 0
    section: str = ""
    device: Device | None = None
    index: int = 0
    lo: float = math.nan
    hi: float = math.nan
    minor: float = math.inf
    major: float = math.inf
    writable: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the value is a string."""
        return self.role in (Role.IDENTITY, Role.SCENARIO)


def machine_channels(machine: MachineDescription) -> list[Channel]:
    """Every PV of the machine, machine-wide ones first."""
    channels = [
        Channel(machine.identity.pv, Role.IDENTITY, "Which machine this is"),
        Channel(machine.heartbeat.pv, Role.HEARTBEAT, "Counts while the IOC is alive", lo=0, hi=2**31 - 1),
        Channel(machine.permit, Role.PERMIT, "Beam permit, 1 = beam allowed", lo=0, hi=1, writable=True),
        Channel(
            machine.simulation.seed,
            Role.SEED,
            "Seed of the simulated errors",
            lo=0,
            hi=2**31 - 1,
            writable=True,
        ),
        Channel(machine.simulation.scenario, Role.SCENARIO, "Scenario of the simulated errors"),
    ]
    seen: set[str] = set()
    for name, section in machine.sections.items():
        channels += _section_channels(machine, name, section)
        for index, pv in enumerate((section.current_upstream, section.current_downstream)):
            if pv not in seen:
                where = "in front of" if index == 0 else "behind"
                text = f"Beam current {where} {name}"
                channels.append(
                    Channel(
                        pv,
                        Role.CURRENT,
                        text,
                        "mA",
                        4,
                        name,
                        index=index,
                        lo=0.0,
                        hi=2 * machine.beam.current.value,
                    )
                )
                seen.add(pv)
    return channels


def _section_channels(machine: MachineDescription, name: str, section: Section) -> Iterator[Channel]:
    corrector_index = bpm_index = 0
    for i, cell in enumerate(section.cells):
        yield from _magnet_and_cavity(machine, name, i, cell)
        for corrector in cell.correctors:
            yield from _supply(
                (corrector.setpoint, corrector.readback), f"{name} corrector {corrector.name}", "A", 3, name,
                Device.CORRECTOR, corrector_index, machine.types.corrector.limits,
            )  # fmt: skip
            corrector_index += 1
        if cell.bpm is not None:
            valid = machine.types.bpm.valid
            for offset, (plane, pv) in enumerate((("x", cell.bpm.x), ("y", cell.bpm.y))):
                yield Channel(
                    pv, Role.BPM, f"{name} {cell.bpm.name} {plane}", "mm", 4, name, index=bpm_index + offset,
                    lo=valid.lo, hi=valid.hi, minor=5.0, major=10.0,
                )  # fmt: skip
            bpm_index += 2


def _magnet_and_cavity(machine: MachineDescription, name: str, i: int, cell: Cell) -> Iterator[Channel]:
    solenoid, cavity, types = cell.solenoid, cell.cavity, machine.types
    yield from _supply(
        (solenoid.setpoint, solenoid.readback), f"{name} solenoid {solenoid.name}", "A", 2, name,
        Device.SOLENOID, i, types.solenoid.limits,
    )  # fmt: skip
    yield from _supply(
        (cavity.amplitude_setpoint, cavity.amplitude_readback), f"{name} {cavity.name} voltage", "MV", 4, name,
        Device.VOLTAGE, i, types.cavity.limits,
    )  # fmt: skip
    yield from _supply(
        (cavity.phase_setpoint, cavity.phase_readback), f"{name} {cavity.name} phase", "deg", 2, name,
        Device.PHASE, i, types.cavity.phase_limits,
    )  # fmt: skip


def _supply(
    pvs: tuple[str, str],
    text: str,
    units: str,
    precision: int,
    section: str,
    device: Device,
    index: int,
    limits: Limits,
) -> Iterator[Channel]:
    for pv, role in zip(pvs, (Role.SETPOINT, Role.READBACK), strict=True):
        yield Channel(
            pv, role, f"{text} {role}", units, precision, section, device, index,
            limits.lo, limits.hi, writable=role is Role.SETPOINT,
        )  # fmt: skip
