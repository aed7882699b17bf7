"""What Channel Access puts on the wire: type numbers and memory layouts of db_access.h."""

import ctypes
from struct import Struct
from typing import Final, NamedTuple

NATIVE_STRING: Final = 0
NATIVE_FLOAT: Final = 2
NATIVE_ENUM: Final = 3
DOUBLE: Final = 6
CTRL_DOUBLE: Final = 34
_TIME_STRING: Final = 14
_TIME_ENUM: Final = 17
_TIME_DOUBLE: Final = 20

_EPICS_EPOCH_S: Final = 631152000
"""1990-01-01 in Unix time; also the time stamp of a record that was never processed"""
_STRING_SIZE: Final = 40

# status, severity, seconds, nanoseconds, (padding), value
_TIME_HEAD: Final = Struct("=hhII")
_TIME_DOUBLE_LAYOUT: Final = Struct("=hhIIid")
_TIME_ENUM_LAYOUT: Final = Struct("=hhIIhH")
# status, severity, precision, padding, units, six display and alarm limits, control limits hi and lo, value
_CTRL_DOUBLE_LAYOUT: Final = Struct("=hhhh8s6dddd")


class TimedValue(NamedTuple):
    """A decoded DBR_TIME answer; ``stamp`` in s since the Unix epoch."""

    value: float | str
    status: int
    severity: int
    stamp: float


class ControlInfo(NamedTuple):
    """A decoded DBR_CTRL answer; the limits exactly as the IOC gave them."""

    units: str
    precision: int
    lo: float
    hi: float


def time_type(native: int) -> int:
    """The type to ask for: text and enums as they are, every number as a double (the IOC converts)."""
    if native == NATIVE_STRING:
        return _TIME_STRING
    return _TIME_ENUM if native == NATIVE_ENUM else _TIME_DOUBLE


def decode_time(address: int, native: int) -> TimedValue:
    """Copy a DBR_TIME answer out of libca's buffer, which is gone when the handler returns."""
    value: float | str
    if native == NATIVE_STRING:
        status, severity, seconds, nanoseconds = _TIME_HEAD.unpack(ctypes.string_at(address, _TIME_HEAD.size))
        text = (ctypes.c_char * _STRING_SIZE).from_address(address + _TIME_HEAD.size).value
        value = text.decode(errors="replace")
    else:
        layout = _TIME_ENUM_LAYOUT if native == NATIVE_ENUM else _TIME_DOUBLE_LAYOUT
        data = ctypes.string_at(address, layout.size)
        status, severity, seconds, nanoseconds, _, number = layout.unpack(data)
        value = float(number)
    return TimedValue(value, status, severity, _EPICS_EPOCH_S + seconds + 1e-9 * nanoseconds)


def decode_control(address: int) -> ControlInfo:
    """Copy a DBR_CTRL_DOUBLE answer out of libca's buffer."""
    data = ctypes.string_at(address, _CTRL_DOUBLE_LAYOUT.size)
    _, _, precision, _, units, *_, hi, lo, _ = _CTRL_DOUBLE_LAYOUT.unpack(data)
    return ControlInfo(units.split(b"\0")[0].decode(errors="replace"), precision, lo, hi)
