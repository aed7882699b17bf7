"""What the machine reads now, from the control process to the service, several times a second.

Not durable on purpose, and no part of the record: on SQLite a small database of its own beside the store, on
PostgreSQL an UNLOGGED table. Nobody who waits for rows of the store is woken by it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from beamctl.store.canonical import browser_json, utc_text
from beamctl.store.database import Database
from beamctl.store.events import now
from beamctl.store.live_file import LiveFile
from beamctl.store.live_table import LiveTable

SERVICE_ROW = "service"
"""beside the sections: what the control process says of itself"""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """The newest reading of a section.

    Attributes:
        section: or ``service``.
        payload: as JSON has it; what was not finite is None.
        time: when it was published, wall clock of the publisher.
        number: of the publication.
    """

    section: str
    payload: Any
    time: datetime
    number: int


class LiveRows(Protocol):
    """Where the rows are; errors as :class:`Live`."""

    def write(self, payloads: Mapping[str, str], time: str) -> None:
        """Replace rows, all at once."""

    def read(self) -> list[tuple[str, int, str, str]]:
        """All rows: section, number, time, payload."""

    def number(self) -> int:
        """Of the newest row; 0: none."""

    def close(self) -> None:
        """Give the connections back."""


class Live:
    """The live readings of a store; safe to use from several threads, and from a store opened for reading."""

    def __init__(self, database: Database) -> None:
        self._rows: LiveRows = LiveTable(database) if database.file is None else LiveFile(database, database.file)

    def publish(self, rows: Mapping[str, object]) -> None:
        """Replace the rows of some sections, all at once; others stay.

        Waits 50 ms for another publisher at most.

        Args:
            rows: payload by section; NaN and infinities become null.

        Raises:
            StoreError: not published; the next one may be.
        """
        if rows:
            self._rows.write({section: browser_json(payload) for section, payload in rows.items()}, utc_text(now()))

    def read(self) -> dict[str, LiveRow]:
        """The newest row of every section that was ever published, at one moment.

        A row that a power cut has damaged is left out; the next publication replaces it.

        Raises:
            StoreError: cannot be read.
        """
        rows: dict[str, LiveRow] = {}
        for section, number, time, payload in self._rows.read():
            with suppress(ValueError):
                rows[section] = LiveRow(section, json.loads(payload), datetime.fromisoformat(time), number)
        return rows

    def number(self) -> int:
        """Of the newest publication: grows with each; 0 before the first.

        SQLite: a stat and one look at a handful of rows, some 10 microseconds. PostgreSQL: a round trip to the server.

        Raises:
            StoreError: cannot be read.
        """
        return self._rows.number()

    def close(self) -> None:
        """Give the connections back; safe to call twice."""
        self._rows.close()
