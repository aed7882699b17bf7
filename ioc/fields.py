"""The fields of a record beside its value: ``.EGU``, ``.DRVH``, ``.RTYP`` ... as a database would have them.

Only fields that clients ask for, and read-only: what they say comes from the machine description.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from caproto import AccessRights, ChannelAlarm, ChannelData, ChannelDouble, ChannelEnum, ChannelInteger, ChannelString
from caproto.server import menus

from beamctl.engine.simulated.channel import Channel, Role

RECORD_TYPES = {
    Role.SETPOINT: "ao",
    Role.READBACK: "ai",
    Role.BPM: "ai",
    Role.CURRENT: "ai",
    Role.PERMIT: "bo",
    Role.ENABLE: "bo",
    Role.HEARTBEAT: "longin",
    Role.SEED: "longout",
    Role.IDENTITY: "stringin",
    Role.SCENARIO: "stringin",
}
STATES = {Role.PERMIT: ("no beam", "beam allowed"), Role.ENABLE: ("tuners off", "tuners allowed")}
"""names of 0 and 1"""
SEVERITIES: tuple[str, ...] = menus.menuAlarmSevr.get_string_tuple()
STATUSES: tuple[str, ...] = menus.menuAlarmStat.get_string_tuple()

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


def record_fields(channel: Channel, name: str, alarm: ChannelAlarm) -> dict[str, Field]:
    """All fields of a record by name, ``VAL`` not among them.

    Args:
        channel: what the record shows.
        name: of the PV, with its prefix.
        alarm: the record's present one; the record keeps ``STAT`` and ``SEVR`` up to date from now on.
    """
    fields = dict(_common(channel, name))
    fields["STAT"] = _Choice(value=STATUSES[alarm.status], enum_strings=STATUSES)
    fields["SEVR"] = _Choice(value=SEVERITIES[alarm.severity], enum_strings=SEVERITIES)
    if not channel.is_text:
        fields |= _numeric(channel)
    if channel.role in STATES:
        zero, one = STATES[channel.role]
        fields |= {"ZNAM": _Text(value=zero), "ONAM": _Text(value=one)}
    return fields


def _common(channel: Channel, name: str) -> Iterator[tuple[str, Field]]:
    is_scanned = not channel.writable and not channel.is_text
    yield "NAME", _Text(value=name)
    yield "RTYP", _Text(value=RECORD_TYPES[channel.role])
    yield "DESC", _Text(value=channel.description)
    scan = ".1 second" if is_scanned else "Passive"
    yield "SCAN", _Choice(value=scan, enum_strings=menus.menuScan.get_string_tuple())


def _numeric(channel: Channel) -> dict[str, Field]:
    if channel.role in STATES:
        return {}
    number = _Number if RECORD_TYPES[channel.role] in ("ai", "ao") else _Integer
    fields = {
        "EGU": _Text(value=channel.units),
        "HOPR": number(value=channel.hi),
        "LOPR": number(value=channel.lo),
        "PREC": _Integer(value=channel.precision),
        "MDEL": number(value=-1 if not channel.writable else 0),  # every shot is published, changed or not
    }
    if channel.role is Role.SETPOINT:
        fields |= {"DRVH": number(value=channel.hi), "DRVL": number(value=channel.lo)}
    if math.isfinite(channel.major):
        fields |= _alarm_limits(channel)
    return fields


def _alarm_limits(channel: Channel) -> dict[str, Field]:
    limits = {"HIHI": channel.major, "HIGH": channel.minor, "LOW": -channel.minor, "LOLO": -channel.major}
    severities = {"HHSV": "MAJOR", "HSV": "MINOR", "LSV": "MINOR", "LLSV": "MAJOR"}
    return {k: _Number(value=v) for k, v in limits.items()} | {
        k: _Choice(value=v, enum_strings=SEVERITIES) for k, v in severities.items()
    }
