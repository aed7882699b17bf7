"""The one narrow interface between beamctl and a machine.

Nothing above this module asks whether the machine behind it is in process, a soft IOC or a linac.
Two implementations exist: :mod:`beamctl.engine.simulated.engine` (in process, fault switches) and
:mod:`beamctl.engine.epics` (Channel Access). :mod:`beamctl.engine.fenced` puts fences in front of setpoints,
:mod:`beamctl.engine.guarded` stands above (limits, steps, verification, restore). One contract suite runs on all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class Severity(IntEnum):
    """EPICS alarm severities."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one PV as it arrived.

    Attributes:
        value: in the PV's engineering unit; may be NaN; ``nan`` before the first update. Strings for text PVs.
        severity: EPICS alarm severity.
        status: EPICS alarm status number.
        stamp: time stamp given by the IOC, s since the Unix epoch.
        received: arrival here, on the engine's monotonic clock, s. Freshness is judged by this.
        seq: count of updates of this PV since start, from 1; 0 before the first.
        connected: whether the channel is connected now.
    """

    value: float | str
    severity: Severity = Severity.INVALID
    status: int = 0
    stamp: float = 0.0
    received: float = -math.inf
    seq: int = 0
    connected: bool = False

    @property
    def is_valid(self) -> bool:
        """Connected, not INVALID and, where numeric, finite."""
        numeric_ok = isinstance(self.value, str) or math.isfinite(self.value)
        return self.connected and self.severity < Severity.INVALID and numeric_ok

    @property
    def number(self) -> float:
        """The value as a float (NaN for text)."""
        return math.nan if isinstance(self.value, str) else float(self.value)


@dataclass(frozen=True, slots=True)
class Meta:
    """What the IOC says of a PV.

    Attributes:
        units: EGU.
        precision: PREC, decimal places.
        lo: lower control limit (DRVL), in ``units``; NaN where not set.
        hi: upper control limit (DRVH), in ``units``; NaN where not set.
        writable: access rights allow a put.
        host: ``address:port`` of the server.
    """

    units: str
    precision: int
    lo: float
    hi: float
    writable: bool
    host: str

    @property
    def has_limits(self) -> bool:
        """Both limits finite and in order; 0/0 and NaN/NaN mean 'not set' in EPICS."""
        return math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo < self.hi


class Outcome(StrEnum):
    """What became of one put."""

    OK = "ok"
    BLOCKED = "blocked"
    """refused here, nothing was sent"""
    REFUSED = "refused"
    """refused by the IOC"""
    ALTERED = "altered"
    """accepted, but the IOC holds another value (clamped, say)"""
    UNKNOWN = "unknown"
    """no answer in time: the put may still be applied later"""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of one put, with the value that the IOC holds afterwards (network read, NaN where unknown).

    Attributes:
        safe_after: for UNKNOWN, when it can no longer be applied, on the engine's clock, s: from then on a read shows
            what became of it. Infinity where nobody knows: only a fence in the IOC makes it finite.
    """

    outcome: Outcome
    asked: float
    held: float = math.nan
    message: str = ""
    safe_after: float = math.inf


class Clock(Protocol):
    """Monotonic time that can be waited for; injected so that tests of waiting do not wait."""

    def now(self) -> float:
        """Seconds on a monotonic scale."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class Engine(Protocol):
    """Reads and moves PVs. All methods are for one caller's thread."""

    @property
    def clock(self) -> Clock:
        """The clock that readings are stamped with."""

    def start(self, pvs: Sequence[str], timeout_s: float = 10.0) -> None:
        """Connect and subscribe.

        Raises:
            ChannelConnectionError: names every PV that did not connect in time. Nothing is left half open.
        """

    def latest(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Last update of each PV, from the subscription; no network traffic.

        Never raises for a PV that was lost: its reading has ``connected=False``.
        """

    def meta(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Meta]:
        """Units, limits, access and host, fetched once per connection.

        Raises:
            ChannelConnectionError: names the PVs that did not answer.
        """

    def wait(
        self, pvs: Sequence[str], since: Mapping[str, int], count: int, timeout_s: float
    ) -> dict[str, list[Reading]]:
        """Wait until every PV has at least ``count`` updates with ``seq > since[pv]``.

        Returns:
            for each PV its first ``count`` such updates, oldest first.

        Raises:
            StaleReadingError: names the PVs that had fewer in time.
            ChannelConnectionError: names the PVs that were lost meanwhile.
        """

    def read(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Reading]:
        """A fresh network read of each PV, never the subscription's cache.

        Raises:
            ChannelConnectionError: names the PVs that did not answer.
        """

    def write(self, values: Mapping[str, float], timeout_s: float = 20.0) -> dict[str, WriteResult]:
        """Put all values with completion, together, then read each back over the network.

        All or nothing before sending: if one PV is not connected, not writable, has a put outstanding or a value
        that is not finite, every result is BLOCKED and nothing is sent. Never raises for a failed put.
        """

    def close(self) -> None:
        """Drop all subscriptions; safe to call twice."""
