"""Brings what is on a status board into records."""

import asyncio
import itertools
import logging
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from caproto import TimeStamp

from beamctl.engine.base import Severity
from beamctl.status.board import StatusBoard
from beamctl.status.ca.records import Record, make_record
from beamctl.status.pvs import StatusPv

_HEARTBEAT_S: Final = 0.5
_PAUSE_S: Final = 0.05
"""between two publications: a board that changes all the time must not take the processor from who changes it"""

_log = logging.getLogger(__name__)


class Publisher:
    """Records that follow a board; everything here runs in one event loop.

    Args:
        board: what is shown.
        pvs: which PVs.
        heartbeat: the one among them that counts.

    Attributes:
        records: by the names of the PVs.
    """

    def __init__(self, board: StatusBoard, pvs: Sequence[StatusPv], heartbeat: str) -> None:
        self._board = board
        self._pvs = {pv.definition.name: pv for pv in pvs if pv.definition.name != heartbeat}
        self.records: dict[str, Record] = {pv.definition.name: make_record(pv.definition) for pv in pvs}
        self._heartbeat = self.records[heartbeat]
        self._shown: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def follow(self, news: asyncio.Event) -> NoReturn:
        """Publish every change, several at once where they come fast."""
        while True:
            await news.wait()
            news.clear()
            await self.publish()
            await asyncio.sleep(_PAUSE_S)

    async def publish(self) -> None:
        """Publish what has changed since the last time, with one time stamp."""
        async with self._turn:  # the newest state must be the last one to be published
            snapshot = self._board.snapshot()
            stamp = _stamp()
            for name, pv in self._pvs.items():
                try:
                    value = pv.value(snapshot)
                    if self._shown.get(name) != repr(value):  # as text, NaN equals itself
                        self._shown[name] = repr(value)
                        await self.records[name].post(value, pv.severity(value), stamp)
                except Exception:
                    # One value that cannot be shown must not take the others, and Halt, away.
                    _log.exception("%s cannot be shown", name)

    async def beat(self) -> None:
        """Count for ever, except while the board is not alive: then the count stands still and is INVALID."""
        due = time.monotonic()
        for count in itertools.count(1):
            if not self._board.is_alive:
                await self._heartbeat.post(self._heartbeat.value, Severity.INVALID, _stamp())
            while not self._board.is_alive:
                await asyncio.sleep(_HEARTBEAT_S)
            await self._heartbeat.post(count % 2**31, Severity.NO_ALARM, _stamp())
            due = max(due + _HEARTBEAT_S, time.monotonic())  # beats that were missed are not made up for
            await asyncio.sleep(due - time.monotonic())


def _stamp() -> TimeStamp:
    return TimeStamp.from_unix_timestamp(time.time())
