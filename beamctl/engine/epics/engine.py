"""The machine over Channel Access: see :class:`EpicsEngine`."""

import functools
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from beamctl.engine.base import Meta, Outcome, Reading, WriteResult
from beamctl.engine.clock import MonotonicClock
from beamctl.engine.epics import libca
from beamctl.engine.epics.channel import Awaited, Board, Channel
from beamctl.engine.epics.tally import Tally
from beamctl.errors import ChannelConnectionError, StaleReadingError

_ATTEMPTS: Final = 2
"""libca 7 under load has left single reads unanswered for no visible reason; the second try came through"""

T = TypeVar("T")


class EpicsEngine:
    """Reads and moves PVs over Channel Access; implements :class:`beamctl.engine.base.Engine`.

    The ``EPICS_CA_*`` variables must be set before the first start in a process: libca reads them once. They
    alone decide where PVs are looked for; ``expected_hosts`` then proves that the right machine answered, for
    with one PV name on two IOCs libca takes whichever answers first.

    Every engine of a process shares one libca and its threads, which only store readings; every method here
    is for one caller's thread, and each of its waits lets a KeyboardInterrupt through.

    Args:
        expected_hosts: names or addresses of the IOCs that may serve the PVs, without port; None allows any.
        readback_timeout_s: how long the network read after a put may take, s.
        history: updates kept per PV, for :meth:`wait`.
    """

    def __init__(
        self,
        expected_hosts: Sequence[str] | None = None,
        readback_timeout_s: float = 2.0,
        history: int = 256,
    ) -> None:
        self.clock = MonotonicClock()
        self._board = Board(self.clock)
        self._expected_hosts = expected_hosts
        self._readback_timeout_s = readback_timeout_s
        self._history = history
        self._channels: dict[str, Channel] = {}

    def start(self, pvs: Sequence[str], timeout_s: float = 10.0) -> None:
        """Connect to PVs, check who serves them, subscribe, and wait for the first value of each.

        May be called again for further PVs.

        Raises:
            ChannelConnectionError: names every PV that did not connect or sent no value in time, or is served
                by a host that is not expected. None of the PVs of this call is kept.
        """
        fresh = (pv for pv in dict.fromkeys(pvs) if pv not in self._channels)
        new = {pv: Channel(pv, self._board, self._history) for pv in fresh}
        deadline = self.clock.now() + timeout_s
        self._channels |= new
        try:
            self._connect(new, deadline)
            self._check_hosts(new.values())
            self._subscribe(new, deadline)
        except BaseException:
            self._drop(new)
            raise

    def latest(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Last update of each PV, from the subscription.

        A frozen IOC stays ``connected`` for half a minute and more: judge freshness by ``received``.
        """
        return {channel.name: channel.reading for channel in self._known(pvs)}

    def meta(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Meta]:
        """Units, limits, access and host; one round trip for all PVs, and again after a reconnect."""
        channels = self._known(pvs)
        self._ask([channel for channel in channels if not channel.has_meta], Channel.request_meta, timeout_s)
        lost = [channel.name for channel in channels if not (channel.has_meta and channel.is_connected)]
        if lost:
            raise ChannelConnectionError(f"no metadata within {timeout_s:g} s from {_listed(lost)}")
        return {channel.name: channel.meta(_with_address(channel.host)) for channel in channels}

    def wait(
        self, pvs: Sequence[str], since: Mapping[str, int], count: int, timeout_s: float
    ) -> dict[str, list[Reading]]:
        """Wait for ``count`` updates of every PV after number ``since[pv]``; returns the first ones.

        Raises:
            ValueError: more updates than are kept.
        """
        if count > self._history:
            raise ValueError(f"{count} updates wanted, {self._history} are kept")
        channels = self._known(pvs)
        awaited = self._register({channel: since[channel.name] + count for channel in channels})
        try:
            awaited.ended.wait(max(0.0, timeout_s))
        finally:
            with self._board.lock:
                self._board.awaited = None
        with self._board.lock:
            readings = {c.name: [r for r in c.recent if r.seq > since[c.name]][:count] for c in channels}
        if awaited.lost:
            raise ChannelConnectionError(f"lost while waiting: {_listed(awaited.lost)}")
        if awaited.missing:
            counts = (f"{pv} ({len(readings[pv])} of {count})" for pv in awaited.missing)
            raise StaleReadingError(f"too few updates within {timeout_s:g} s: {_listed(counts)}")
        return readings

    def read(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Reading]:
        """Fresh network read of each PV; ``seq`` is that of the last update from the subscription."""
        channels = self._known(pvs)
        readings = self._ask(channels, Channel.request_value, timeout_s)
        silent = [channel.name for channel in channels if channel.name not in readings]
        if silent:
            raise ChannelConnectionError(f"no answer to a read within {timeout_s:g} s from {_listed(silent)}")
        return {channel.name: readings[channel.name] for channel in channels}

    def write(self, values: Mapping[str, float], timeout_s: float = 20.0) -> dict[str, WriteResult]:
        """Put all values with completion, together, then read each back over the network.

        Besides what the interface names, a PV that was not started, holds text or came back on a host that
        is not expected blocks the group. A put without an answer stays outstanding, and blocks its PV, until
        libca tells its end: the answer came late, or the connection was given up.
        """
        return self.write_with_requests(values, {}, timeout_s)

    def write_with_requests(
        self, values: Mapping[str, float], requests: Mapping[str, Sequence[float]], timeout_s: float = 20.0
    ) -> dict[str, WriteResult]:
        """Put values as :meth:`write` does, together with requests: each several numbers in one put.

        A request is not read back: OK says that the IOC has taken and processed it, and asked and held are NaN.
        """
        objections = {pv: self._objection(pv, (value,)) for pv, value in values.items()}
        objections |= {pv: self._objection(pv, request) for pv, request in requests.items()}
        bad = [f"{pv} {why}" for pv, why in objections.items() if why]
        if bad:
            message = f"nothing was sent: {'; '.join(bad)}"
            return {pv: WriteResult(Outcome.BLOCKED, values.get(pv, math.nan), message=message) for pv in objections}
        ends = self._put({pv: (value,) for pv, value in values.items()} | dict(requests), timeout_s)
        channels = [self._channels[pv] for pv in values]
        held = self._ask(channels, Channel.request_value, self._readback_timeout_s)
        results = {
            channel.name: _judge(channel, values[channel.name], ends.get(channel.name), held.get(channel.name))
            for channel in channels
        }
        return results | {pv: _failure(ends.get(pv)) or WriteResult(Outcome.OK, math.nan) for pv in requests}

    def reconnect_count(self, pv: str) -> int:
        """How often a PV was connected again: each time its IOC may have restarted with its defaults."""
        (channel,) = self._known([pv])
        return max(0, channel.connections - 1)

    def close(self) -> None:
        """Drop all subscriptions and channels; does not wait for any IOC."""
        self._drop(self._channels)

    def _connect(self, channels: Mapping[str, Channel], deadline: float) -> None:
        connected = Tally[bool](channels)
        libca.attach()
        for channel in channels.values():
            channel.open(connected)
        # Without the flush the last of the channels was left without its monitor in 9 of 620 starts.
        libca.flush()
        if not connected.wait(deadline - self.clock.now()):
            raise ChannelConnectionError(f"not connected in time: {_listed(connected.missing)}")

    def _subscribe(self, channels: Mapping[str, Channel], deadline: float) -> None:
        for channel in channels.values():
            channel.subscribe()
        libca.flush()
        try:
            self.wait(list(channels), dict.fromkeys(channels, 0), 1, deadline - self.clock.now())
        except StaleReadingError as error:
            raise ChannelConnectionError(f"connected, but sent no value: {error}") from error

    def _drop(self, channels: Mapping[str, Channel]) -> None:
        if not channels:
            return
        libca.attach()
        for channel in channels.values():
            channel.close()
        self._channels = {pv: channel for pv, channel in self._channels.items() if pv not in channels}
        libca.flush()

    def _known(self, pvs: Iterable[str]) -> list[Channel]:
        unknown = [pv for pv in pvs if pv not in self._channels]
        if unknown:
            raise ChannelConnectionError(f"not started: {_listed(unknown)}")
        return [self._channels[pv] for pv in pvs]

    def _register(self, needed: Mapping[Channel, int]) -> Awaited:
        with self._board.lock:
            missing = {channel.name: seq for channel, seq in needed.items() if channel.reading.seq < seq}
            awaited = Awaited(missing)
            for channel in needed:
                if not channel.is_connected:
                    awaited.lose(channel.name)
            if missing:
                self._board.awaited = awaited
            else:
                awaited.ended.set()
        return awaited

    def _put(self, puts: Mapping[str, Sequence[float]], timeout_s: float) -> dict[str, int]:
        """Send all puts, then wait once; the status of each that ended in time."""
        ends = Tally[int](puts)
        for pv, numbers in puts.items():
            self._channels[pv].put([float(number) for number in numbers], ends)
        libca.flush()
        ends.wait(timeout_s)
        return dict(ends.answers)

    def _ask(
        self,
        channels: Sequence[Channel],
        request: Callable[[Channel, Tally[T | None]], int],
        timeout_s: float,
    ) -> dict[str, T]:
        """Ask all channels in one round trip; ask again, once, those that did not answer."""
        answers: dict[str, T] = {}
        for _ in range(_ATTEMPTS):
            todo = [channel for channel in channels if channel.is_connected and channel.name not in answers]
            if todo:
                answers |= _round_trip(todo, request, timeout_s / _ATTEMPTS)
        return answers

    def _objection(self, pv: str, numbers: Sequence[float]) -> str | None:
        channel = self._channels.get(pv)
        if channel is None:
            return "was not started"
        for number in numbers:
            if not math.isfinite(number):
                return f"would get {number}"
        if not channel.is_connected:
            return "is not connected"
        if channel.is_text:
            return "holds text"
        if not channel.is_writable:
            return "is read-only for us"
        if channel.has_put_outstanding:
            return "has a put outstanding"
        if not self._is_expected(channel):
            return f"is served by {channel.host}, not by one of {self._expected_hosts}"
        return None

    def _check_hosts(self, channels: Iterable[Channel]) -> None:
        strange = [f"{c.name} (at {c.host})" for c in channels if not self._is_expected(c)]
        if strange:
            raise ChannelConnectionError(f"not served by {self._expected_hosts}: {_listed(strange)}")

    def _is_expected(self, channel: Channel) -> bool:
        """Whether an expected host serves the channel; looked up once per connection."""
        connection = channel.connections
        if self._expected_hosts is None or channel.checked_connection == connection:
            return True
        address = _with_address(channel.host).rpartition(":")[0]
        if address not in {_address(host) for host in self._expected_hosts}:
            return False
        channel.checked_connection = connection
        return True


def _round_trip(
    channels: Sequence[Channel], request: Callable[[Channel, Tally[T | None]], int], timeout_s: float
) -> dict[str, T]:
    answers = Tally[T | None](channel.name for channel in channels)
    tokens = [request(channel, answers) for channel in channels]
    try:
        libca.flush()
        answers.wait(timeout_s)
    finally:
        for token in tokens:
            libca.forget(token)
    return {pv: answer for pv, answer in dict(answers.answers).items() if answer is not None}


def _failure(end: int | None, asked: float = math.nan, held: float = math.nan) -> WriteResult | None:
    """What a put became that did not end well; None for one that did."""
    if end is None:
        return WriteResult(Outcome.UNKNOWN, asked, held, "no answer in time; it may still be applied")
    if end in libca.UNDECIDED:
        return WriteResult(Outcome.UNKNOWN, asked, held, f"{libca.message(end)}; it may have been applied")
    if end != libca.NORMAL:
        return WriteResult(Outcome.REFUSED, asked, held, f"refused by the IOC: {libca.message(end)}")
    return None


def _judge(channel: Channel, asked: float, end: int | None, reading: Reading | None) -> WriteResult:
    held = math.nan if reading is None else reading.number
    failure = _failure(end, asked, held)
    if failure is not None:
        return failure
    if reading is None:
        return WriteResult(Outcome.UNKNOWN, asked, held, "accepted, but could not be read back")
    if not channel.holds(asked, held):
        return WriteResult(Outcome.ALTERED, asked, held, f"asked {asked!r}, the IOC holds {held!r}")
    return WriteResult(Outcome.OK, asked, held)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _with_address(host: str) -> str:
    """``address:port`` for ``name:port``: libca gives the name as soon as a reverse look-up has found one."""
    name, _, port = host.rpartition(":")
    return f"{_address(name)}:{port}"


@functools.cache
def _address(name: str) -> str:
    """IPv4 address of a host; the name itself where it cannot be resolved."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return socket.gethostbyname(name)
    except OSError:
        return name
