"""Whether a control process is there; asked of the operating system or the server a few times a second at most."""

import threading
import time
from datetime import datetime

from beamctl.api.live_book import LiveBook
from beamctl.api.schemas.machine import Control
from beamctl.store.leases import CONTROL, section_lease
from beamctl.store.open import Store

LOOK_S = 0.5
WAITS = "no control process is running: requests and commands are written down and wait for one (beamctl operate)"
HALTED = "halted by a PV: no run begins and nothing is written until a person puts 0 there"
AT_WORK = "at work"


class ControlWatch:
    """Remembers for LOOK_S who holds which lease; safe to use from several threads.

    Args:
        store: with the leases.
        live: where the control process says that it is halted.
    """

    def __init__(self, store: Store, live: LiveBook) -> None:
        self._store = store
        self._live = live
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, bool]] = {}

    @property
    def is_alive(self) -> bool:
        """Whether a control process holds its lease."""
        return self._is_held(CONTROL)

    def has_owner(self, section: str) -> bool:
        """Whether any process has a section."""
        return self._is_held(section_lease(section))

    def view(self) -> Control:
        """All of it, for people."""
        alive = self.is_alive
        owner = self._store.pages.owner(CONTROL)
        row = self._live.rows().get("service")
        halted = alive and row is not None and bool(row.payload.get("is_halted", False))
        times: list[datetime] = [owner.heartbeat] if owner is not None else []
        times += [row.time] if row is not None else []
        return Control(
            is_alive=alive,
            owner="" if owner is None else owner.owner,
            heartbeat=max(times, default=None),
            is_halted=halted,
            message=WAITS if not alive else HALTED if halted else AT_WORK,
        )

    def _is_held(self, lease: str) -> bool:
        with self._lock:  # one looks, the others wait for what it sees
            looked, held = self._held.get(lease, (-LOOK_S, False))
            if time.monotonic() - looked >= LOOK_S:
                held = self._store.leases.is_held(lease)
                self._held[lease] = time.monotonic(), held
            return held
