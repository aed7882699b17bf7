"""The soft machine's time: supplies ramp, instruments are read at 10 Hz, puts wait for their ramps."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Mapping
from typing import NoReturn, Protocol

from caproto import TimeStamp

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.plant import Plant
from beamctl.status.ca.records import Record

_RESOLUTION_S = 1e-3
"""shorter times do not pass, they wait for the next occasion; timers of the event loop are no finer"""


_INSTANT_S = 1e-9
"""more than rounding errors, less than anything"""


class Time(Protocol):
    """Time that an event can cut short; injected so that tests of waiting do not wait."""

    def now(self) -> float:
        """Seconds on a monotonic scale."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until ``event`` is set or ``seconds`` have passed; lets other tasks run in any case."""


class LoopTime:
    """The running process's time."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """See :class:`Time`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await event.wait()


class PlantClock:
    """Lets a plant's time pass and publishes what its instruments read.

    The machine's time follows the monotonic clock. A ramp ends when it ends, not with the next shot: the loop
    wakes up for whichever comes first. Puts are answered by :meth:`put`, all in the same event loop.

    Args:
        plant: the machine.
        records: by the plant's PV names; a PV without record is not published.
        speed: seconds of the machine per second.
        timebase: replaced by tests.
    """

    def __init__(
        self, plant: Plant, records: Mapping[str, Record], speed: float = 1.0, timebase: Time | None = None
    ) -> None:
        self._plant = plant
        self._records = records
        self._speed = speed
        self._time: Time = timebase or LoopTime()
        self._period = 1.0 / (plant.rate_hz * speed)
        self._now = self._time.now()
        self._arrivals: dict[str, asyncio.Event] = {}
        self._next_shot = asyncio.Event()
        self._woken = asyncio.Event()
        for pv, record in records.items():
            if record.definition.writable:
                record.on_put = functools.partial(self._take, pv)

    async def run(self) -> NoReturn:
        """Let time pass for ever.

        Whatever it raises must end the process: an IOC that still answers, but with a machine that stands
        still, looks alive.
        """
        due = self._time.now()
        while True:
            self._catch_up()
            self._complete_puts()
            if self._time.now() >= due:
                await self.publish_shot()
                due += self._period
                # Shots that were missed (process stopped, speed too high) are not made up for.
                if due <= self._time.now():
                    due = self._time.now() + self._period
            await self._time.wait(self._woken, self._next_event(due) - self._time.now())
            self._woken.clear()

    async def publish_shot(self) -> None:
        """Read every instrument once and publish all of it with one time stamp."""
        stamp = _stamp()
        for pv, sample in self._plant.shot().items():
            if pv in self._records:
                await self._records[pv].post(sample.value, sample.severity, stamp)
        self._next_shot.set()
        self._next_shot = asyncio.Event()

    async def publish_held(self) -> None:
        """Publish everything that no shot does: setpoints, permit, seed, identity."""
        stamp = _stamp()
        for pv, record in self._records.items():
            if record.definition.writable or record.definition.is_text:
                await record.post(self._plant.setpoint(pv), Severity.NO_ALARM, stamp)

    async def put(self, pv: str, value: float) -> None:
        """A client's put; returns when the supply has arrived.

        A put of the value that is held completes at once; puts that overlap end together, with the last ramp.
        A put of the seed is complete when the new machine was read once.

        Raises:
            ValueError: refused (not finite).
        """
        self._catch_up()
        before = self._plant.setpoint(pv)
        held = self._plant.put(pv, value)
        if self._plant.channels[pv].role is Role.SEED:
            await self._redrawn()
            return
        if held != before:  # as base, which posts no monitor for a value that did not change
            await self._records[pv].post(held, Severity.NO_ALARM, _stamp())
        if not self._plant.is_settled(pv):
            self._end_short_ramp(pv)
        if self._plant.is_settled(pv):
            self._complete_puts()
            return
        arrival = self._arrivals.setdefault(pv, asyncio.Event())
        self._woken.set()
        await arrival.wait()

    async def _take(self, pv: str, value: float, _: str) -> None:
        await self.put(pv, value)

    async def _redrawn(self) -> None:
        next_shot = self._next_shot
        await self.publish_held()
        self._complete_puts()
        await next_shot.wait()

    def _catch_up(self) -> None:
        """Bring the plant to the present, so that a ramp starts when its put comes."""
        now = self._time.now()
        if now - self._now >= _RESOLUTION_S:
            self._advance(now - self._now)

    def _end_short_ramp(self, pv: str) -> None:
        """Run a little ahead of time rather than wait for less than a timer can measure."""
        left = self._plant.time_left(pv) / self._speed + _INSTANT_S
        if self._now + left <= self._time.now() + _RESOLUTION_S:
            self._advance(left)

    def _advance(self, seconds: float) -> None:
        self._plant.advance(seconds * self._speed)
        self._now += seconds

    def _complete_puts(self) -> None:
        for pv in [pv for pv in self._arrivals if self._plant.is_settled(pv)]:
            self._arrivals.pop(pv).set()

    def _next_event(self, shot_due: float) -> float:
        ramps = (self._plant.time_left(pv) / self._speed for pv in self._arrivals)
        return min((shot_due, *(self._now + max(left, _RESOLUTION_S) for left in ramps)))


def _stamp() -> TimeStamp:
    return TimeStamp.from_unix_timestamp(time.time())
