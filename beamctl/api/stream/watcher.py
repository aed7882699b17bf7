"""One thread per process that sees what is new in the store, and tells the hub."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from beamctl.api.control_watch import ControlWatch
from beamctl.api.live_book import LiveBook, as_live
from beamctl.api.schemas.events import Tick
from beamctl.api.stream import frames
from beamctl.api.stream.hub import TICK, Hub, entry
from beamctl.errors import StoreError
from beamctl.store.open import Store
from beamctl.store.watch import Watch

_log = logging.getLogger("beamctl.api")
WAIT_S = 0.05
GATHER_S = 0.1
"""events that follow closely are told together, for telling hundreds costs the same for one event as for ten"""
TICK_S = 1.0
AGAIN_S = 0.5
"""pause before a store that has failed is tried again"""
PAGE = 500
REMEMBERED = 2000
"""events of the past that the ring begins with, for clients that come back after a restart"""


class Watcher:
    """The thread.

    Args:
        store: what is watched.
        live, control: the newest readings, and who is at work.
        hub: who is told, in its event loop.
    """

    def __init__(self, store: Store, live: LiveBook, control: ControlWatch, hub: Hub) -> None:
        self._store = store
        self._live = live
        self._control = control
        self._hub = hub
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: int | None = None
        self._numbers: dict[str, int] = {}
        self._next_tick = self._next_events = 0.0
        self._has_failed = False

    def start(self) -> None:
        """Begin; to be called in the hub's event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close_streams(self) -> None:
        """Send everybody away; from whatever thread or signal handler."""
        self._tell(self._hub.close)

    def stop(self) -> None:
        """End; returns when the thread has."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with self._store.watch() as watch:
                    self._watch(watch)
            except StoreError as error:
                if not self._has_failed:
                    _log.error("events cannot be read, tried again every %g s: %s", AGAIN_S, error)
                self._has_failed = True
                self._tell(self._hub.look_after)
                self._stop.wait(AGAIN_S)

    def _watch(self, watch: Watch) -> None:
        is_changed = True
        while not self._stop.is_set():
            if is_changed and time.monotonic() >= self._next_events:
                self._next_events = time.monotonic() + GATHER_S
                is_changed = False
                self._tell_events()
            self._tell_readings()
            if time.monotonic() >= self._next_tick:
                self._next_tick = time.monotonic() + TICK_S
                self._tell_tick()
                self._tell(self._hub.look_after)
            self._has_failed = False
            is_changed |= watch.wait(WAIT_S)

    def _tell_events(self) -> None:
        if self._end is None:
            self._end = max(0, self._store.events.end().seq - REMEMBERED)
            self._tell(self._hub.begin, self._end)
        while events := self._store.events.read(self._end, limit=PAGE):
            self._end = events[-1].seq
            self._tell(self._hub.publish, [entry(event) for event in events])
            if len(events) < PAGE:
                return

    def _tell_readings(self) -> None:
        wanted = self._hub.wanted
        self._numbers = {section: n for section, n in self._numbers.items() if section in wanted}
        rows = self._live.rows() if wanted else {}
        new = {s: row for s, row in rows.items() if s in wanted and self._numbers.get(s) != row.number}
        if new:
            self._numbers |= {section: row.number for section, row in new.items()}
            self._tell(self._hub.publish_newest, {s: frames.live(as_live(row)) for s, row in new.items()})

    def _tell_tick(self) -> None:
        now = Tick(time=datetime.now(UTC), end=self._end or 0, control=self._control.view())
        self._tell(self._hub.publish_newest, {TICK: frames.tick(now)})

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)
