"""The fields of a record beside its value: ``.EGU``, ``.DRVH``, ``.RTYP`` ... as a database would have them.

Only fields that clients ask for, and read-only.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from caproto import AccessRights, ChannelAlarm, ChannelData, ChannelDouble, ChannelEnum, ChannelInteger, ChannelString
from caproto.server import menus

from beamctl.engine.base import Severity
from beamctl.status.ca.definition import Definition

SEVERITIES: tuple[str, ...] = menus.menuAlarmSevr.get_string_tuple()
STATUSES: tuple[str, ...] = menus.menuAlarmStat.get_string_tuple()
_MULTI_BIT_STATES = ("ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF")

Field: TypeAlias = Any
"""a channel of caproto, which has no types"""


class _ReadOnly(ChannelData):  # type: ignore[misc]  # caproto has no types
    def check_access(self, hostname: str, username: str) -> AccessRights:
        return AccessRights.READ


class _Text(_ReadOnly, ChannelString):  # type: ignore[misc]
    pass


class _Number(_ReadOnly, ChannelDouble):  # type: ignore[misc]
    pass


class _Integer(_ReadOnly, ChannelInteger):  # type: ignore[misc]
    pass


class _Choice(_ReadOnly, ChannelEnum):  # type: ignore[misc]
    pass


def record_fields(record: Definition, alarm: ChannelAlarm) -> dict[str, Field]:
    """All fields of a record by name, ``VAL`` not among them.

    Args:
        record: what it is.
        alarm: its present one; the record keeps ``STAT`` and ``SEVR`` up to date from now on.
    """
    fields = dict(_common(record))
    fields["STAT"] = _Choice(value=STATUSES[alarm.status], enum_strings=STATUSES)
    fields["SEVR"] = _Choice(value=SEVERITIES[alarm.severity], enum_strings=SEVERITIES)
    if record.states:
        return fields | dict(_states(record))
    return fields if record.is_text else fields | _numeric(record)


def _common(record: Definition) -> Iterator[tuple[str, Field]]:
    yield "NAME", _Text(value=record.name)
    yield "RTYP", _Text(value=record.record_type)
    yield "DESC", _Text(value=record.description)
    yield "SCAN", _Choice(value=record.scan, enum_strings=menus.menuScan.get_string_tuple())


def _states(record: Definition) -> Iterator[tuple[str, Field]]:
    """Names and severities of the states, for example ``ZNAM`` and ``ZSV``, or ``ZRST`` and ``ZRSV``."""
    if record.record_type == "mbbi":
        fields = [(f"{state}ST", f"{state}SV") for state in _MULTI_BIT_STATES]
    else:
        fields = [("ZNAM", "ZSV"), ("ONAM", "OSV")]
    severities = record.severities or (Severity.NO_ALARM,) * len(record.states)
    for (name, severity), state, alarm in zip(fields, record.states, severities, strict=False):
        yield name, _Text(value=state)
        yield severity, _severity(alarm)


def _numeric(record: Definition) -> dict[str, Field]:
    number = _Number if record.record_type in ("ai", "ao") else _Integer
    is_scanned = record.scan.endswith("second")
    fields = {
        "EGU": _Text(value=record.units),
        "PREC": _Integer(value=record.precision),
        "MDEL": number(value=-1 if is_scanned else 0),  # what is scanned is published, changed or not
    }
    limits = {"HOPR": record.hi, "LOPR": record.lo}
    if record.record_type == "ao":
        limits |= {"DRVH": record.hi, "DRVL": record.lo}
    fields |= {name: number(value=limit) for name, limit in limits.items()}
    if math.isfinite(record.major):
        fields |= _alarm_limits(record)
    return fields


def _alarm_limits(record: Definition) -> dict[str, Field]:
    limits = {"HIHI": record.major, "HIGH": record.minor, "LOW": -record.minor, "LOLO": -record.major}
    severities = {"HHSV": Severity.MAJOR, "HSV": Severity.MINOR, "LSV": Severity.MINOR, "LLSV": Severity.MAJOR}
    return {k: _Number(value=v) for k, v in limits.items()} | {k: _severity(v) for k, v in severities.items()}


def _severity(severity: Severity) -> Field:
    return _Choice(value=SEVERITIES[severity], enum_strings=SEVERITIES)
