"""What a database would say of a record, in one place for values, alarms and fields."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from beamctl.engine.base import Severity

RecordType: TypeAlias = Literal["ai", "ao", "longin", "longout", "bi", "bo", "mbbi", "stringin", "waveform"]


@dataclass(frozen=True)
class Definition:
    """One record.

    Attributes:
        name: of the PV, as clients know it.
        record_type: RTYP; ``waveform`` is one of characters.
        description: DESC, at most 40 characters.
        units: EGU.
        precision: PREC.
        lo, hi: LOPR/HOPR, of an ``ao`` DRVL/DRVH as well; NaN where there are none.
        minor, major: absolute value from which a number alarms; infinite where it never does.
        states: names of the states of ``bi``, ``bo`` and ``mbbi``, from 0 on.
        severities: of the states, NO_ALARM for all of them where empty.
        size: bytes that a waveform can hold.
        writable: whether a client may put.
        scan: SCAN, as in the menu of EPICS base.
    """

    name: str
    record_type: RecordType
    description: str
    units: str = ""
    precision: int = 0
    lo: float = math.nan
    hi: float = math.nan
    minor: float = math.inf
    major: float = math.inf
    states: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    size: int = 1
    writable: bool = False
    scan: str = "Passive"

    @property
    def is_text(self) -> bool:
        """Whether the value is text."""
        return self.record_type in ("stringin", "waveform")

    def severity(self, value: float) -> Severity:
        """Of the state with this number."""
        return self.severities[round(value)] if self.severities else Severity.NO_ALARM
