"""Live readings in a SQLite database of their own, FILE.live: quick, and made anew where it is missing or damaged.

The publisher makes the file; who only reads takes a missing or damaged one for an empty one. Both look before every
use whether the file that they have open is still the one that is there.
"""

import sqlite3
import threading
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beamctl.errors import StoreBusyError, StoreDamagedError, StoreWriteError
from beamctl.store.database import Database
from beamctl.store.faults import translated
from beamctl.store.locks import try_lock

WAIT_S = 0.05
"""longest wait for another writer"""
_LAYOUT = 1
"""of the table; a file of another one is made anew"""
_MAKE = f"""
PRAGMA synchronous=OFF;
PRAGMA journal_mode=WAL;
BEGIN IMMEDIATE;
CREATE TABLE live (
    section TEXT PRIMARY KEY, number INTEGER NOT NULL, time TEXT NOT NULL, payload TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version={_LAYOUT};
COMMIT;
"""
_WRITE = """
INSERT INTO live (section, number, time, payload) VALUES (?, ?, ?, ?)
ON CONFLICT (section) DO UPDATE SET number = excluded.number, time = excluded.time, payload = excluded.payload
"""
_READ = "SELECT section, number, time, payload FROM live ORDER BY section"
_NUMBER = "SELECT max(number) FROM live"

_Identity = tuple[int, int]


class LiveFile:
    """The file; implements :class:`beamctl.store.live.LiveRows`.

    Args:
        database: that it belongs to.
        file: of that database.
    """

    def __init__(self, database: Database, file: Path) -> None:
        store = file.resolve()
        self._database = database
        self._publishing = threading.Lock()
        self._file = store.with_name(f"{store.name}.live")
        self._reader = _Door(self._file, "ro")
        self._writer = _Door(self._file, "rw")

    def write(self, payloads: Mapping[str, str], time: str) -> None:
        """Replace rows, all at once."""
        if self._database.read_only:
            raise StoreWriteError(f"store {self._database.name}: opened for reading, nothing can be published")
        with self._publishing:
            try:
                self._put(payloads, time)
            except StoreDamagedError:
                self._make_anew()
                self._put(payloads, time)

    def read(self) -> list[tuple[str, int, str, str]]:
        """All rows: section, number, time, payload."""
        return self._look(_READ)

    def number(self) -> int:
        """Of the newest row; 0: none."""
        return next((row[0] or 0 for row in self._look(_NUMBER)), 0)

    def close(self) -> None:
        """Give the connections back; safe to call twice."""
        self._reader.close()
        self._writer.close()

    def _put(self, payloads: Mapping[str, str], time: str) -> None:
        with self._writer.opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            number = next_number(connection.execute(_NUMBER).fetchone()[0])
            connection.executemany(_WRITE, [(section, number, time, payload) for section, payload in payloads.items()])
            connection.execute("COMMIT")

    def _look(self, query: str) -> list[Any]:
        try:
            with self._reader.opened() as connection:
                return connection.execute(query).fetchall()
        except StoreDamagedError:
            return []

    def _make_anew(self) -> None:
        """In place of the file that the writer has seen last, unless somebody else has done so."""
        deadline = clock.monotonic() + WAIT_S
        while (lock := try_lock(self._database, "live")) is None:
            if clock.monotonic() >= deadline:
                raise StoreBusyError(f"{self._file} is being made anew by another process")
            clock.sleep(0.002)
        try:
            if _identity(self._file) == self._writer.seen:
                _make(self._file)
        except OSError as error:
            raise StoreWriteError(f"{self._file} cannot be made anew: {error.strerror}") from error
        finally:
            lock.release()


class _Door:
    """A connection to the file that is there, for one thread at a time.

    Attributes:
        seen: which file was there the last time.
    """

    def __init__(self, file: Path, mode: str) -> None:
        self._file = file
        self._address = f"{file.as_uri()}?mode={mode}"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.seen: _Identity | None = None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The connection; what fails in the block has not happened.

        Raises:
            StoreDamagedError: there is no file, or none that can be used.
            StoreError: as :func:`beamctl.store.faults.translated`.
        """
        with self._lock, translated(str(self._file)):
            try:
                yield self._current()
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._drop()

    def _current(self) -> sqlite3.Connection:
        there = _identity(self._file)
        if there != self.seen:
            self._drop()
            self.seen = there
        if there is None:
            raise StoreDamagedError(f"{self._file}: nothing was ever published")
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._address, WAIT_S, isolation_level=None, check_same_thread=False, uri=True
            )
            self._connection.text_factory = _lenient
            self._connection.execute("PRAGMA synchronous=OFF")
            layout = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if layout != _LAYOUT:
                raise StoreDamagedError(f"{self._file}: of layout {layout}, not {_LAYOUT}")
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def next_number(newest: int | None) -> int:
    """Of a publication; the first one comes after all that were ever lost, for no disk takes a million a second."""
    return int(1e6 * clock.time()) if newest is None else newest + 1


def _lenient(read: bytes) -> str:
    """Damage must not be an error of another kind; who takes the text apart finds it."""
    return read.decode(errors="replace")


def _identity(file: Path) -> _Identity | None:
    """Which file is there; one that is open keeps its number to itself."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make(file: Path) -> None:
    """Appears only when it is complete; nothing is left of what was there before."""
    new = file.with_name(f"{file.name}.new")
    _remove(new)
    with translated(str(file)):
        connection = sqlite3.connect(new, WAIT_S, isolation_level=None)
        try:
            connection.executescript(_MAKE)
        finally:
            connection.close()
    _remove(file)
    new.rename(file)


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
