"""Waiting for somebody else's rows without asking for them all the time.

Open the watch, look at the rows, then wait: what is committed after the watch was opened or after the last
:meth:`Watch.wait` ends the next wait, so nothing falls in between. A wait that ends early means "look again", no more.
"""

import time
from typing import Any

from beamctl.store.database import Database
from beamctl.store.faults import translated

CHANNEL = "beamctl"
"""what the triggers of PostgreSQL notify"""
POLL_S = 0.02
"""SQLite: how often the file's change counter is looked at, a few microseconds each time"""


class Watch:
    """One waiter, for one thread; use it as a ``with`` block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = database.dedicated()
        if database.is_sqlite:
            self._seen = self._version()
        else:
            with translated(database.name):
                self._connection.execute(f"LISTEN {CHANNEL}")

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, timeout_s: float) -> bool:
        """Whether anybody, also this process by another connection, has committed something since the last time.

        On PostgreSQL only requests, commands, runs and events count.

        Raises:
            StoreUnavailableError: the server is gone; open a new watch when it is back.
        """
        return self._poll(timeout_s) if self._database.is_sqlite else self._listen(timeout_s)

    def close(self) -> None:
        """Give the connection back; safe to call twice."""
        self._connection.close()

    def _poll(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self._version()
            if seen != self._seen:
                self._seen = seen
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_S, left))

    def _version(self) -> int:
        with translated(self._database.name):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _listen(self, timeout_s: float) -> bool:
        with translated(self._database.name):
            return any(True for _ in self._connection.notifies(timeout=max(0.0, timeout_s), stop_after=1))
