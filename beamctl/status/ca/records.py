"""PVs as caproto channels that behave like records of a base IOC.

caproto's own records differ from base where it matters here: they reject what base clamps, their control
limits stop the IOC's own writes, and a refused put leaves an alarm behind. So a client's put goes to a
handler, and the IOC itself publishes past all checks with :meth:`Record.post`.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias

from caproto import (
    AccessRights,
    AlarmStatus,
    CaprotoConversionError,
    CAStatus,
    ChannelChar,
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
from beamctl.status.ca.definition import Definition
from beamctl.status.ca.fields import SEVERITIES, STATUSES, Field, record_fields

_log = logging.getLogger(__name__)
_sender: ContextVar[str] = ContextVar("_sender", default="")

_STRING_SIZE = 40
_CUT = "..."

PutHandler: TypeAlias = Callable[[float, str], Awaitable[None]]
"""takes the value and who sends it, ``user@host`` as the client says; raises ValueError to refuse; returns when the put
is done"""


class Record(ChannelData):  # type: ignore[misc]  # caproto has no types
    """One PV; mixed into the caproto channel of its data type.

    Attributes:
        definition: what it is.
        on_put: called with a client's put; until it is set, every put is refused.
        on_received: told PV and value of every put before anything is checked.
    """

    definition: Definition
    on_put: PutHandler | None = None
    on_received: Callable[[str, object], None] | None = None

    def __init__(self, definition: Definition, value: float | str, **metadata: Any) -> None:
        self.definition = definition
        self._other_fields: dict[str, Field] = {}
        super().__init__(value=value, reported_record_type=definition.record_type, **metadata)

    def check_access(self, hostname: str, username: str) -> AccessRights:
        """Everybody may read; what is writable may be written by everybody, for nobody can prove who he is."""
        return AccessRights.READ | AccessRights.WRITE if self.definition.writable else AccessRights.READ

    def get_field(self, field: str) -> Field:
        """A field of the record as a channel; called by caproto for ``NAME.FIELD``.

        Raises:
            KeyError: the record has no such field; the search stays unanswered, as with a base IOC.
        """
        if field == "VAL":
            return self
        if not self._other_fields:
            self._other_fields = record_fields(self.definition, self.alarm)
        return self._other_fields[field]

    async def auth_write(self, hostname: str, username: str, *request: Any, **options: Any) -> CAStatus:
        """A client's put from begin to end: the status to answer with.

        A refusal is a status, as with base. What caproto sends instead, an error message, its own threaded
        client takes for no answer at all.
        """
        _sender.set(f"{username}@{hostname}")  # each put has a task of its own
        try:
            await super().auth_write(hostname, username, *request, **options)
        except Forbidden:
            _log.warning("put refused: %s is read-only", self.definition.name)
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
        if self.on_received is not None:
            self.on_received(self.definition.name, data[0])
        is_real = data_type in (ChannelType.DOUBLE, ChannelType.FLOAT)
        if is_real and not all(math.isfinite(number) for number in data):
            raise ValueError(f"{self.definition.name}: {data[0]} is not a finite number")
        try:
            await super().write_from_dbr(data, data_type, metadata, **options)
        except CaprotoConversionError as error:
            raise ValueError(f"{self.definition.name}: {data!r} is none of its values") from error

    async def write(self, value: Any, **_: Any) -> None:
        """A client's put, as caproto delivers it; completes when the handler does.

        Raises:
            ValueError: the put is refused; what the record holds does not change.
        """
        if self.on_put is None:
            raise ValueError(f"{self.definition.name} takes no puts")
        await self.on_put(self.to_number(self.preprocess_value(value)), _sender.get())

    async def post(self, value: float | str, severity: Severity, stamp: TimeStamp) -> None:
        """Publish a value: no limits, no checks, NaN included."""
        alarm = {}
        if severity != self.alarm.severity:
            alarm = {"severity": severity, "status": _alarm_status(value, severity, self.definition)}
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

    def to_native(self, value: Any) -> float:
        """As a floating-point number."""
        return float(value)


class IntegerRecord(Record, ChannelInteger):  # type: ignore[misc]
    """``longout`` and ``longin``."""

    def to_native(self, value: Any) -> int:
        """As an integer of 32 bits, the nearest that there is."""
        return min(max(int(value), -(2**31)), 2**31 - 1)


class StateRecord(Record, ChannelEnum):  # type: ignore[misc]
    """``bi``, ``bo`` and ``mbbi``: held as the name of its state."""

    def to_native(self, value: Any) -> str:
        """As the name of the state."""
        name: str = self.definition.states[round(value)]
        return name

    def to_number(self, value: Any) -> float:
        """As the number of the state; clients send either."""
        return float(self.definition.states.index(value) if isinstance(value, str) else value)


class TextRecord(Record, ChannelString):  # type: ignore[misc]
    """``stringin``."""

    def to_native(self, value: Any) -> str:
        """Cut to what a string of Channel Access holds, its closing zero included."""
        return _cut(str(value), _STRING_SIZE - 1)


class LongTextRecord(Record, ChannelChar):  # type: ignore[misc]
    """``waveform`` of characters."""

    def to_native(self, value: Any) -> str:
        """Cut to the size of the waveform, its closing zero included."""
        return _cut(str(value), self.definition.size - 1) + "\0"


def make_record(definition: Definition) -> Record:
    """A record; zero, the first state or empty until the first post."""
    if definition.record_type == "waveform":
        return LongTextRecord(definition, "\0", max_length=definition.size, string_encoding="utf-8")
    if definition.is_text:
        return TextRecord(definition, "", string_encoding="utf-8")
    if definition.states:
        return StateRecord(definition, definition.states[0], enum_strings=definition.states)
    if definition.record_type in ("longin", "longout"):
        return IntegerRecord(definition, 0, units=definition.units, **_limits(definition))
    limits = _limits(definition)
    return AnalogRecord(definition, 0.0, units=definition.units, precision=definition.precision, **limits)


def _limits(definition: Definition) -> dict[str, float]:
    """Limits in caproto's words; those that are not set stay 0/0."""
    limits: dict[str, float] = {}
    if math.isfinite(definition.lo) and math.isfinite(definition.hi):
        limits |= {"upper_disp_limit": definition.hi, "lower_disp_limit": definition.lo}
        if definition.record_type == "ao":
            limits |= {"upper_ctrl_limit": definition.hi, "lower_ctrl_limit": definition.lo}
    if math.isfinite(definition.major):
        limits |= {
            "upper_alarm_limit": definition.major,
            "upper_warning_limit": definition.minor,
            "lower_warning_limit": -definition.minor,
            "lower_alarm_limit": -definition.major,
        }
    return limits


def _alarm_status(value: float | str, severity: Severity, definition: Definition) -> AlarmStatus:
    """Why a record alarms: a bad reading, its state, or which of its limits was passed."""
    if severity is Severity.NO_ALARM:
        return AlarmStatus.NO_ALARM
    if severity is Severity.INVALID or isinstance(value, str):
        return AlarmStatus.READ
    if definition.states:
        return AlarmStatus.STATE
    if abs(value) >= definition.major:
        return AlarmStatus.HIHI if value > 0 else AlarmStatus.LOLO
    return AlarmStatus.HIGH if value > 0 else AlarmStatus.LOW


def _cut(text: str, size: int) -> str:
    """The beginning of a text, at most ``size`` bytes of UTF-8; a cut shows as three dots."""
    data = text.replace("\0", " ").encode()
    if len(data) <= size:
        return data.decode()
    return data[: size - len(_CUT)].decode(errors="ignore") + _CUT
