"""Writes through fences: records in the IOC that refuse a request whose time has passed.

A put that was sent cannot be called back: an IOC that was frozen applies it when it goes on, also for a client that
died meanwhile. A fence (``deploy/epics/fence.db``) takes a *request* instead, value, expiry and token in one put, and
the IOC compares the expiry with its own clock at the moment when it would apply the value. So the outcome of a
request may be unknown, but not for longer than its life.
"""

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, Protocol

from beamctl.engine.base import Clock, Engine, Meta, Outcome, Reading, WriteResult
from beamctl.engine.layout import Fence, Knob
from beamctl.errors import ChannelConnectionError

LIFE_S: Final = 2.0
"""how long a request may be applied: a thousand times what a healthy IOC needs, below the 5 s that a fence allows"""
CLOCK_MAX_AGE_S: Final = 1.0
"""ten periods of the clock; into an IOC that has stood still for longer nothing is sent at all"""
MARGIN_S: Final = 0.1
"""added to the life in ``safe_after``, for clocks that NTP slews"""
LOOK_BACK: Final = 200
"""acknowledgements that are looked at, of the 256 updates that engines keep"""

_TOKEN_BITS: Final = 48
_STATUS_BITS: Final = 4  # token and status fit together into the 53 bits of a double
_SAME: Final = 1e-6
"""relative; what a 32 bit field rounds to"""


class FenceStatus(IntEnum):
    """What a fence did with a request; the numbers of ``$(P)Status`` in ``fence.db``."""

    ACCEPTED = 0
    MALFORMED = 1
    NOT_FINITE = 2
    OUT_OF_RANGE = 3
    EXPIRED = 4
    LIFE_TOO_LONG = 5
    BUSY = 6
    ELSEWHERE = 7
    BROKEN = 8
    LATE = 9


_STATUSES: Final = frozenset(FenceStatus)
_REASONS: Final = {
    FenceStatus.MALFORMED: "refused by the fence: not three numbers",
    FenceStatus.NOT_FINITE: "refused by the fence: not finite",
    FenceStatus.OUT_OF_RANGE: "refused by the fence: outside its limits",
    FenceStatus.EXPIRED: "expired in the IOC, not applied",
    FenceStatus.LIFE_TOO_LONG: "refused by the fence: expires later than it allows; was the IOC's clock set back?",
    FenceStatus.BUSY: "refused by the fence: the setpoint is disabled, or still busy with an earlier put",
    FenceStatus.ELSEWHERE: "refused by the fence: it does not stand in the IOC of its setpoint",
}


class RequestingEngine(Engine, Protocol):
    """An engine that can put several numbers at once."""

    def write_with_requests(
        self, values: Mapping[str, float], requests: Mapping[str, Sequence[float]], timeout_s: float = 20.0
    ) -> dict[str, WriteResult]:
        """Put values as ``write`` does, together with requests: each several numbers in one put.

        A request is not read back: OK says that the IOC has taken and processed it, and asked and held are NaN.
        """


@dataclass(frozen=True)
class _Request:
    """One request on its way.

    Attributes:
        numbers: value, expiry on the IOC's clock, token.
        sent: on the engine's clock, s.
        since: updates of the acknowledgement before.
    """

    fence: Fence
    numbers: tuple[float, float, float]
    sent: float
    since: int


class FencedEngine:
    """Sends requests to setpoints that have a fence, puts to the others; implements :class:`Engine`.

    Outcomes are those of :class:`Engine`. REFUSED also where the request expired. Where UNKNOWN is said, ``held`` may
    be either value, and after ``safe_after`` it does not change any more.

    Args:
        engine: reaches the machine.
        fences: by setpoint PV.
        life_s: how long after sending a request may be applied, s; each fence has a largest life (5 s).
        readback_timeout_s: how long the network read after a request may take, s.

    Raises:
        ValueError: a life that is no time.
    """

    def __init__(
        self,
        engine: RequestingEngine,
        fences: Mapping[str, Fence],
        life_s: float = LIFE_S,
        readback_timeout_s: float = 2.0,
    ) -> None:
        if not (math.isfinite(life_s) and life_s > 0):
            raise ValueError(f"a request cannot live for {life_s} s")
        self._engine = engine
        self._fences = dict(fences)
        self._life_s = life_s
        self._readback_timeout_s = readback_timeout_s

    @property
    def clock(self) -> Clock:
        """See :class:`Engine`."""
        return self._engine.clock

    def start(self, pvs: Sequence[str], timeout_s: float = 10.0) -> None:
        """See :class:`Engine`; the PVs of the fences are started with their setpoints."""
        fences = [self._fences[pv] for pv in pvs if pv in self._fences]
        also = (pv for fence in fences for pv in (fence.request, fence.acknowledge, fence.clock))
        self._engine.start(list(dict.fromkeys((*pvs, *also))), timeout_s)

    def latest(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """See :class:`Engine`."""
        return self._engine.latest(pvs)

    def meta(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Meta]:
        """See :class:`Engine`; a setpoint with a fence is writable if requests are."""
        requests = {pv: self._fences[pv].request for pv in pvs if pv in self._fences}
        meta = self._engine.meta([*pvs, *requests.values()], timeout_s)
        return {pv: replace(meta[pv], writable=meta[requests.get(pv, pv)].writable) for pv in pvs}

    def wait(
        self, pvs: Sequence[str], since: Mapping[str, int], count: int, timeout_s: float
    ) -> dict[str, list[Reading]]:
        """See :class:`Engine`."""
        return self._engine.wait(pvs, since, count, timeout_s)

    def read(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Reading]:
        """See :class:`Engine`."""
        return self._engine.read(pvs, timeout_s)

    def close(self) -> None:
        """See :class:`Engine`."""
        self._engine.close()

    def write(self, values: Mapping[str, float], timeout_s: float = 20.0) -> dict[str, WriteResult]:
        """See :class:`Engine`. Besides, a fence whose clock stands still blocks the group."""
        fenced = {pv: value for pv, value in values.items() if pv in self._fences}
        bad = [f"{pv} {why}" for pv, value in fenced.items() if (why := self._objection(pv, value))]
        if bad:
            return _blocked(values, f"nothing was sent: {'; '.join(bad)}")
        plain = {pv: value for pv, value in values.items() if pv not in fenced}
        requests = {pv: self._request(pv, value) for pv, value in fenced.items()}
        numbers = {request.fence.request: request.numbers for request in requests.values()}
        results = self._engine.write_with_requests(plain, numbers, timeout_s)
        blocked = [result for result in results.values() if result.outcome is Outcome.BLOCKED]
        if blocked:
            return _blocked(values, blocked[0].message)
        sent = {pv: results[request.fence.request] for pv, request in requests.items()}
        judged = self._judge_all(requests, sent)
        return {pv: judged[pv] if pv in judged else results[pv] for pv in values}

    def _objection(self, pv: str, value: float) -> str | None:
        clock = self._fences[pv].clock
        try:
            readings = self._engine.latest([pv, clock])
        except ChannelConnectionError:
            return "was not started"
        if not math.isfinite(value):
            return f"would get {value}"
        if not readings[pv].connected:
            return "is not connected"
        age = self.clock.now() - readings[clock].received
        if not (readings[clock].is_valid and age <= CLOCK_MAX_AGE_S):
            return f"has a fence whose clock {clock} is not usable (last update {age:.1f} s ago): the IOC stands still"
        return None

    def _request(self, pv: str, value: float) -> _Request:
        """A request that lives from now on. A delay of the clock's update shortens its life, nothing lengthens it."""
        fence = self._fences[pv]
        readings = self._engine.latest([fence.clock, fence.acknowledge])
        sent, clock = self.clock.now(), readings[fence.clock]
        expiry = clock.number + (sent - clock.received) + self._life_s
        token = float(secrets.randbits(_TOKEN_BITS))
        return _Request(fence, (float(value), expiry, token), sent, readings[fence.acknowledge].seq)

    def _judge_all(self, requests: Mapping[str, _Request], sent: Mapping[str, WriteResult]) -> dict[str, WriteResult]:
        """What became of each request; those without an end are asked for apart, for their IOC may stand still."""
        silent = [pv for pv in requests if sent[pv].outcome is Outcome.UNKNOWN]
        ended = [pv for pv in requests if pv not in silent]
        readings = self._read_back(ended, requests) | self._read_back(silent, requests)
        return {pv: self._judge(pv, request, sent[pv], readings) for pv, request in requests.items()}

    def _read_back(self, pvs: Sequence[str], requests: Mapping[str, _Request]) -> dict[str, Reading]:
        """Fresh setpoints and acknowledgements; nothing where an IOC does not answer."""
        if not pvs:
            return {}
        timeout_s = self._readback_timeout_s
        try:
            return self._engine.read([*pvs, *(requests[pv].fence.acknowledge for pv in pvs)], timeout_s)
        except ChannelConnectionError:
            return {}

    def _status(self, request: _Request, readings: Mapping[str, Reading]) -> FenceStatus | None:
        """What the fence says of a request; None where it has not said anything of it."""
        pv = request.fence.acknowledge
        last = self._engine.latest([pv])[pv].seq
        since = max(request.since, last - LOOK_BACK)
        published = self._engine.wait([pv], {pv: since}, last - since, 0.0)[pv] if last > since else []
        for reading in (*published, *([readings[pv]] if pv in readings else [])):
            status = _decoded(reading, request.numbers[2])
            if status is not None:
                return status
        return None

    def _judge(self, pv: str, request: _Request, sent: WriteResult, readings: Mapping[str, Reading]) -> WriteResult:
        held = readings[pv].number if pv in readings else math.nan
        status = self._status(request, readings)
        result = WriteResult(Outcome.UNKNOWN, request.numbers[0], held)
        if status in _REASONS:
            return replace(result, outcome=Outcome.REFUSED, message=_REASONS[status])
        if status is not None or sent.outcome is Outcome.OK:
            return _applied(status, sent, replace(result, safe_after=self.clock.now()))
        if sent.outcome is Outcome.REFUSED:
            return replace(result, outcome=Outcome.REFUSED, message=sent.message)
        message = f"no acknowledgement; it can be applied within {self._life_s:g} s of its sending, never later"
        return replace(result, message=message, safe_after=request.sent + self._life_s + MARGIN_S)


def fences_of(knobs: Iterable[Knob]) -> dict[str, Fence]:
    """The fences of knobs, by setpoint PV."""
    return {knob.setpoint: knob.fence for knob in knobs if knob.fence is not None}


def _decoded(acknowledgement: Reading, token: float) -> FenceStatus | None:
    """The status in an acknowledgement; None if it belongs to another request."""
    if not acknowledgement.is_valid:
        return None
    found, status = divmod(int(acknowledgement.number), 1 << _STATUS_BITS)
    return FenceStatus(status) if found == token and status in _STATUSES else None


def _applied(status: FenceStatus | None, sent: WriteResult, result: WriteResult) -> WriteResult:
    """Outcome of a request that the IOC has processed and did not refuse; ``result`` is the unknown one."""
    if status is None:
        return replace(result, message="processed by the IOC, but its acknowledgement was not seen")
    if status is FenceStatus.BROKEN:
        return replace(result, message="the fence is broken: its check or its put failed")
    if sent.outcome is not Outcome.OK:
        return replace(result, message="applied, but the setpoint has not finished")
    if math.isnan(result.held):
        return replace(result, message="applied, but could not be read back")
    if not math.isclose(result.asked, result.held, rel_tol=_SAME, abs_tol=1e-12):
        message = f"asked {result.asked!r}, the IOC holds {result.held!r}"
        return replace(result, outcome=Outcome.ALTERED, message=message)
    message = "done after its expiry: the IOC stood still in between" if status is FenceStatus.LATE else ""
    return replace(result, outcome=Outcome.OK, message=message)


def _blocked(values: Mapping[str, float], message: str) -> dict[str, WriteResult]:
    return {pv: WriteResult(Outcome.BLOCKED, value, message=message) for pv, value in values.items()}
