"""One PV as Channel Access shows it."""

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from beamctl.engine.base import Clock, Meta, Reading, Severity
from beamctl.engine.epics import dbr, libca
from beamctl.engine.epics.tally import Tally

_SEVERITIES: Final = frozenset(Severity)


class Awaited:
    """Update numbers that the caller's thread waits for; completed, or ended by a loss, by libca's threads.

    Attributes:
        missing: for each PV still waited for, the update number needed.
        lost: PVs that disconnected before they had it.
        ended: set once nothing is missing or something was lost.
    """

    def __init__(self, missing: dict[str, int]) -> None:
        self.missing = missing
        self.lost: set[str] = set()
        self.ended = threading.Event()

    def count(self, name: str, seq: int) -> None:
        """Update ``seq`` of a PV arrived."""
        if seq >= self.missing.get(name, math.inf):
            del self.missing[name]
            if not self.missing:
                self.ended.set()

    def lose(self, name: str) -> None:
        """A PV disconnected."""
        if name in self.missing:
            self.lost.add(name)
            self.ended.set()


class Board:
    """What all channels of one engine share: a lock around readings, and the caller who waits for them.

    libca is never called with the lock held: its threads take it in their handlers, under locks of their own.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.awaited: Awaited | None = None


class Channel:
    """Connection, subscription, last readings and metadata of one PV.

    Attributes:
        reading: the last update; ``connected`` only if it came over the present connection.
        recent: the last updates, oldest first, bounded.
        connections: how often the channel was connected; above 1 the IOC may have restarted with defaults.
        is_connected: whether libca has a connection; with a frozen IOC it keeps it for half a minute.
        checked_connection: the number of the connection that was found to be to an expected host.
        has_put_outstanding: a put was sent and libca has not told its end.
    """

    def __init__(self, name: str, board: Board, history: int) -> None:
        self.name = name
        self.reading = Reading(math.nan)
        self.recent: deque[Reading] = deque(maxlen=history)
        self.connections = 0
        self.is_connected = False
        self.checked_connection = 0
        self.has_put_outstanding = False
        self._board = board
        self._native = -1
        self._control: dbr.ControlInfo | None = None
        self._chid = 0
        self._subscription = 0
        self._first_connection: Tally[bool] | None = None

    def open(self, connected: Tally[bool]) -> None:
        """Begin to look for the PV; its first connection is counted in ``connected``."""
        self._first_connection = connected
        self._chid = libca.open_channel(self.name, self._on_connection)

    def subscribe(self) -> None:
        """Monitor a connected channel; libca renews the subscription after each loss."""
        self._native = libca.native_type(self._chid)
        self._subscription = libca.subscribe(self._chid, self._native, self._on_update)

    def close(self) -> None:
        """Drop the subscription and the channel."""
        libca.forget(self._subscription)
        if self._chid:
            libca.close_channel(self._chid)
        self._chid = 0
        self.is_connected = False
        self.reading = replace(self.reading, connected=False)

    @property
    def host(self) -> str:
        """``host:port`` of the server as libca names it."""
        return libca.host_name(self._chid)

    @property
    def is_writable(self) -> bool:
        """Whether the access rights allow a put now."""
        return libca.has_write_access(self._chid)

    @property
    def is_text(self) -> bool:
        """Whether the PV holds a string."""
        return self._native == dbr.NATIVE_STRING

    @property
    def has_meta(self) -> bool:
        """Whether units and limits are known for the present connection; text and enums have none."""
        return self._native in (dbr.NATIVE_STRING, dbr.NATIVE_ENUM) or self._control is not None

    def meta(self, host: str) -> Meta:
        """Units, limits and access, for the present connection; ``host`` as ``address:port``."""
        info = self._control or dbr.ControlInfo("", 0, math.nan, math.nan)
        is_set = math.isfinite(info.lo) and math.isfinite(info.hi) and info.lo < info.hi
        lo, hi = (info.lo, info.hi) if is_set else (math.nan, math.nan)
        return Meta(info.units, info.precision, lo, hi, self.is_writable, host)

    def holds(self, asked: float, held: float) -> bool:
        """Whether a value read back is the one asked for, as exactly as the field can hold it."""
        relative = 1e-6 if self._native == dbr.NATIVE_FLOAT else 1e-9
        return math.isclose(asked, held, rel_tol=relative, abs_tol=1e-12)

    def request_value(self, answers: Tally[Reading | None]) -> int:
        """Ask for a fresh value; counted when it comes, None where the IOC cannot give one.

        Returns:
            the number of the request, for :func:`libca.forget`.
        """

        def on_answer(status: int, address: int) -> None:
            is_good = status == libca.NORMAL and address != 0
            answers.put(self.name, self._decode(address, self.reading.seq) if is_good else None)

        status, token = libca.request_time(self._chid, self._native, on_answer)
        if status != libca.NORMAL:
            answers.put(self.name, None)
        return token

    def request_meta(self, answers: Tally[dbr.ControlInfo | None]) -> int:
        """Ask for units and limits, kept here until the connection is lost; else as :meth:`request_value`."""
        connection = self.connections

        def on_answer(status: int, address: int) -> None:
            info = dbr.decode_control(address) if status == libca.NORMAL and address else None
            with self._board.lock:
                if connection == self.connections and self.is_connected:
                    self._control = info
            answers.put(self.name, info)

        status, token = libca.request_control(self._chid, on_answer)
        if status != libca.NORMAL:
            answers.put(self.name, None)
        return token

    def put(self, values: Sequence[float], ends: Tally[int]) -> None:
        """Send numbers as one put with completion; the status of its end, NORMAL or not, is counted in ``ends``."""

        def on_end(status: int, _: int) -> None:
            self.has_put_outstanding = False
            ends.put(self.name, status)

        self.has_put_outstanding = True
        status = libca.put(self._chid, values, on_end)
        if status != libca.NORMAL:
            on_end(status, 0)

    def _decode(self, address: int, seq: int) -> Reading:
        timed = dbr.decode_time(address, self._native)
        return Reading(
            value=timed.value,
            severity=Severity(timed.severity) if timed.severity in _SEVERITIES else Severity.INVALID,
            status=timed.status,
            stamp=timed.stamp,
            received=self._board.clock.now(),
            seq=seq,
            connected=self.is_connected,
        )

    def _on_update(self, status: int, address: int) -> None:
        board = self._board
        with board.lock:
            if status != libca.NORMAL or not address:
                # Read access withdrawn or circuit lost: what we hold is no longer the truth.
                self.reading = replace(self.reading, severity=Severity.INVALID)
                return
            self.reading = reading = self._decode(address, self.reading.seq + 1)
            self.recent.append(reading)
            if board.awaited is not None:
                board.awaited.count(self.name, reading.seq)

    def _on_connection(self, is_up: bool) -> None:
        board = self._board
        with board.lock:
            self.is_connected = is_up
            self._control = None
            if is_up:
                self.connections += 1
            else:
                self.reading = replace(self.reading, connected=False)
                if board.awaited is not None:
                    board.awaited.lose(self.name)
        if is_up and self._first_connection is not None:
            self._first_connection.put(self.name, True)
            self._first_connection = None
