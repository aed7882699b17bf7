"""A PV of a simulated machine, with what an IOC has to say about it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from beamctl.machine.quantity import Limits


class Role(StrEnum):
    """What a PV is for."""

    SETPOINT = "setpoint"
    READBACK = "readback"
    BPM = "bpm"
    CURRENT = "current"
    PERMIT = "permit"
    ENABLE = "enable"
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
        index: position among the section's devices of that kind, BPM channels (x1, y1, ...) or current monitors along
            the beam.
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


def supply_channels(
    pvs: tuple[str, str],
    text: str,
    units: str,
    precision: int,
    section: str,
    device: Device,
    index: int,
    limits: Limits,
) -> Iterator[Channel]:
    """Setpoint and readback of one supply."""
    for pv, role in zip(pvs, (Role.SETPOINT, Role.READBACK), strict=True):
        yield Channel(
            pv, role, f"{text} {role}", units, precision, section, device, index,
            limits.lo, limits.hi, writable=role is Role.SETPOINT,
        )  # fmt: skip
