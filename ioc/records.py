"""The PVs of a machine as caproto channels that behave like records of a base IOC.

caproto's own records differ from base where it matters here: they reject what base clamps, their control
limits stop the IOC's own writes, and a refused put leaves an alarm behind. So a client's put goes to a
handler, and the IOC itself publishes past all checks with :meth:`Record.post`.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from caproto import (
    AccessRights,
    AlarmStatus,
    CaprotoConversionError,
    CAStatus,
    ChannelData,
    ChannelDouble,
    ChannelEnum,
    ChannelInteger,
    ChannelString,
    ChannelType,
    Forbidden,
    TimeStamp,
)

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Channel, Role
from ioc.fields import RECORD_TYPES, SEVERITIES, STATES, STATUSES, Field, record_fields

_log = logging.getLogger(__name__)

PutHandler: TypeAlias = Callable[[str, float], Awaitable[None]]
"""takes the channel's PV (without prefix) and the value; raises to refuse; returns when the put is done"""


class Record(ChannelData):  # type: ignore[misc]  # caproto has no types
    """One PV; mixed into the caproto channel of its data type.

    Attributes:
        channel: what it shows.
        on_put: called with a client's put; until it is set, every put is refused.
    """

    channel: Channel
    on_put: PutHandler | None = None

    def __init__(self, channel: Channel, name: str, value: float | str, **metadata: Any) -> None:
        self.channel = channel
        self._name = name
        self._other_fields: dict[str, Field] = {}
        record_type = RECORD_TYPES[channel.role]
        super().__init__(value=value, reported_record_type=record_type, **metadata)

    def check_access(self, hostname: str, username: str) -> AccessRights:
        """Everybody may read; setpoints may be written."""
        return AccessRights.READ | AccessRights.WRITE if self.channel.writable else AccessRights.READ

    def get_field(self, field: str) -> Field:
        """A field of the record as a channel; called by caproto for ``NAME.FIELD``.

        Raises:
            KeyError: the record has no such field; the search stays unanswered, as with a base IOC.
        """
        if field == "VAL":
            return self
        if not self._other_fields:
            self._other_fields = record_fields(self.channel, self._name, self.alarm)
        return self._other_fields[field]

    async def auth_write(self, *request: Any, **options: Any) -> CAStatus:
        """A client's put from begin to end: the status to answer with.

        A refusal is a status, as with base. What caproto sends instead, an error message, its own threaded
        client takes for no answer at all.
        """
        try:
            await super().auth_write(*request, **options)
        except Forbidden:
            _log.warning("put refused: %s is read-only", self._name)
            return CAStatus.ECA_NOWTACCESS
        except ValueError as error:
            _log.warning("put refused: %s", error)
            return CAStatus.ECA_PUTFAIL
        return CAStatus.ECA_NORMAL

    async def write_from_dbr(self, data: Any, data_type: ChannelType, metadata: Any, **options: Any) -> None:
        """A client's put before conversion, which would make some integer of a NaN.

        Raises:
            ValueError: not finite, or not of a type that the record can hold.
        """
        is_real = data_type in (ChannelType.DOUBLE, ChannelType.FLOAT)
        if is_real and not all(math.isfinite(number) for number in data):
            raise ValueError(f"{self._name}: {data[0]} is not a finite number")
        try:
            await super().write_from_dbr(data, data_type, metadata, **options)
        except CaprotoConversionError as error:
            raise ValueError(f"{self._name}: {data!r} is none of its values") from error

    async def write(self, value: Any, **_: Any) -> None:
        """A client's put, as caproto delivers it; completes when the handler does.

        Raises:
            ValueError: the put is refused; what the record holds does not change.
        """
        if self.on_put is None:
            raise ValueError(f"{self._name} takes no puts")
        await self.on_put(self.channel.pv, self.to_number(self.preprocess_value(value)))

    async def post(self, value: float | str, severity: Severity, stamp: TimeStamp) -> None:
        """Publish a value: no limits, no checks, NaN included."""
        alarm = {}
        if severity != self.alarm.severity:
            alarm = {"severity": severity, "status": _alarm_status(value, severity, self.channel)}
        await super().write(self.to_native(value), verify_value=False, update_fields=False, timestamp=stamp, **alarm)
        if alarm and self._other_fields:
            await self._post_alarm_fields(stamp)

    def to_native(self, value: Any) -> Any:
        """The machine's value as the channel holds it."""
        return value

    def to_number(self, value: Any) -> float:
        """The channel's value as the machine takes it."""
        return float(value)

    async def _post_alarm_fields(self, stamp: TimeStamp) -> None:
        for field, text in (
            ("SEVR", SEVERITIES[self.alarm.severity]),
            ("STAT", STATUSES[self.alarm.status]),
        ):
            await self._other_fields[field].write(text, timestamp=stamp)


class AnalogRecord(Record, ChannelDouble):  # type: ignore[misc]
    """``ao`` and ``ai``."""


class IntegerRecord(Record, ChannelInteger):  # type: ignore[misc]
    """``longout`` and ``longin``."""

    def to_native(self, value: Any) -> int:
        """As an integer of 32 bits."""
        return int(value)


class BinaryRecord(Record, ChannelEnum):  # type: ignore[misc]
    """``bo``: held as the name of its state."""

    def to_native(self, value: Any) -> str:
        """As the name of the state."""
        return STATES[self.channel.role][round(value)]

    def to_number(self, value: Any) -> float:
        """As the number of the state; clients send either."""
        return float(STATES[self.channel.role].index(value) if isinstance(value, str) else value)


class TextRecord(Record, ChannelString):  # type: ignore[misc]
    """``stringin``."""


def make_records(channels: Iterable[Channel], prefix: str = "") -> dict[str, Record]:
    """A record for each channel, by the channel's PV (without prefix); zero until the first post."""
    return {channel.pv: _record(channel, prefix + channel.pv) for channel in channels}


def _record(channel: Channel, name: str) -> Record:
    if channel.is_text:
        return TextRecord(channel, name, "")
    if channel.role in STATES:
        states = STATES[channel.role]
        return BinaryRecord(channel, name, states[0], enum_strings=states)
    if RECORD_TYPES[channel.role] in ("longin", "longout"):
        return IntegerRecord(channel, name, 0, units=channel.units, **_limits(channel))
    limits = _limits(channel)
    return AnalogRecord(channel, name, 0.0, units=channel.units, precision=channel.precision, **limits)


def _limits(channel: Channel) -> dict[str, float]:
    """Limits in caproto's words; those that are not set stay 0/0."""
    limits = {"upper_disp_limit": channel.hi, "lower_disp_limit": channel.lo}
    if channel.role is Role.SETPOINT:
        limits |= {"upper_ctrl_limit": channel.hi, "lower_ctrl_limit": channel.lo}
    if math.isfinite(channel.major):
        limits |= {
            "upper_alarm_limit": channel.major,
            "upper_warning_limit": channel.minor,
            "lower_warning_limit": -channel.minor,
            "lower_alarm_limit": -channel.major,
        }
    return limits


def _alarm_status(value: float | str, severity: Severity, channel: Channel) -> AlarmStatus:
    """Why a record alarms: a bad reading, or which of its limits was passed."""
    if severity is Severity.NO_ALARM:
        return AlarmStatus.NO_ALARM
    if severity is Severity.INVALID or isinstance(value, str):
        return AlarmStatus.READ
    if abs(value) >= channel.major:
        return AlarmStatus.HIHI if value > 0 else AlarmStatus.LOLO
    return AlarmStatus.HIGH if value > 0 else AlarmStatus.LOW
