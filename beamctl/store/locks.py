"""Locks that end with the process that holds them, by the operating system's or the server's doing.

No clock is involved: neither a jump of the wall clock nor a slow owner can make a held lock look free.
"""

import fcntl
import hashlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

from beamctl.errors import StoreUnavailableError
from beamctl.store.database import Database
from beamctl.store.faults import translated


class Lock(Protocol):
    """A lock that is held."""

    def is_held(self) -> bool:
        """Whether it still is, as far as can be told from here."""

    def release(self) -> None:
        """Give it up; safe to call twice."""


def try_lock(database: Database, name: str) -> Lock | None:
    """Take a lock, or None where somebody else has it."""
    if database.file is None:
        return _ServerLock.take(database, name)
    return _FileLock.take(_lock_file(database.file, name))


class _FileLock:
    """``flock`` on a file beside the database: the kernel drops it when the last holder's descriptor is gone.

    Works across containers that share the folder; not across hosts, as SQLite itself does not.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path) -> "_FileLock | None":
        try:
            path.parent.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
        except OSError as error:
            raise StoreUnavailableError(f"cannot lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise StoreUnavailableError(f"cannot lock {path}: {error.strerror}") from error
        return cls(descriptor)

    def is_held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock_file(database: Path, name: str) -> Path:
    file = database.resolve()
    return file.with_name(f"{file.name}.locks") / re.sub(r"[^A-Za-z0-9_.-]", "-", name)


class _ServerLock:
    """An advisory lock of PostgreSQL, held by a connection of its own: the server drops it with the connection.

    A host that vanishes without closing its connections keeps it until the server's keepalives give up (20 s).
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    def take(cls, database: Database, name: str) -> "_ServerLock | None":
        with translated(database.name):
            connection = database.dedicated()
            try:
                for setting, value in (("idle", 10), ("interval", 5), ("count", 2)):
                    connection.execute(f"SET tcp_keepalives_{setting} = {value}")
                key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
                taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()[0]
            except BaseException:
                connection.close()
                raise
        if not taken:
            connection.close()
            return None
        return cls(connection)

    def is_held(self) -> bool:
        if self._connection.closed:
            return False
        try:
            self._connection.execute("SELECT 1")
        except self._driver_error():
            return False
        return True

    def release(self) -> None:
        self._connection.close()

    @staticmethod
    def _driver_error() -> type[Exception]:
        from psycopg import Error

        return Error
