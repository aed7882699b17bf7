"""What a database says went wrong, in the words of beamctl's errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from beamctl.errors import (
    StoreBusyError,
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
    StoreWriteError,
)

_SQLITE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreWriteError, "the disk is full, nothing of this was written: free some space"),
    sqlite3.SQLITE_IOERR: (StoreWriteError, "the disk fails or has no room, nothing of this counts as written"),
    sqlite3.SQLITE_READONLY: (StoreWriteError, "it is read-only, nothing was written: look at the file's permissions"),
    sqlite3.SQLITE_BUSY: (StoreBusyError, "another process is writing for too long"),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "another thread is writing for too long"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailableError, "the file cannot be opened: look at its folder and permissions"),
    sqlite3.SQLITE_PERM: (StoreUnavailableError, "the file may not be opened"),
    sqlite3.SQLITE_CORRUPT: (StoreDamagedError, "the file is damaged: restore a backup"),
    sqlite3.SQLITE_NOTADB: (StoreDamagedError, "the file is not a database"),
}
_POSTGRESQL: dict[str, tuple[type[StoreError], str]] = {
    "53100": (StoreWriteError, "the server's disk is full, nothing of this was written"),
    "58030": (StoreWriteError, "the server's disk fails, nothing of this counts as written"),
    "25006": (StoreWriteError, "the database is read-only, nothing was written"),
    "42501": (StoreWriteError, "this user may not do that, nothing was written"),
    "55P03": (StoreBusyError, "another process is writing for too long"),
    "57014": (StoreBusyError, "the server takes too long"),
    "40P01": (StoreBusyError, "two writers waited for each other"),
    "XX001": (StoreDamagedError, "the database is damaged"),
    "XX002": (StoreDamagedError, "the database is damaged"),
}


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Errors of the database inside become errors of ours.

    Args:
        name: the store, for people.
    """
    try:
        yield
    except DBAPIError as error:
        raise _translation(name, error.orig, isinstance(error, IntegrityError)) from error
    except SQLAlchemyError as error:
        raise StoreError(f"store {name}: {error}") from error
    except sqlite3.Error as error:
        raise _translation(name, error, isinstance(error, sqlite3.IntegrityError)) from error
    except Exception as error:
        if not type(error).__module__.startswith("psycopg"):  # which may not be installed
            raise
        raise _translation(name, error, is_conflict=False) from error


def _translation(name: str, error: BaseException | None, is_conflict: bool) -> StoreError:
    said = " ".join(str(error).split())
    if is_conflict:
        return StoreConflictError(f"store {name}: {said}")
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        kind, meaning = _SQLITE.get(code & 0xFF, (StoreError, "unexpected answer"))
        return kind(f"store {name}: {meaning} ({said})")
    state = getattr(error, "sqlstate", None) or ""
    if not state or state[:2] in ("08", "28", "3D") or state[:4] == "57P0":
        return StoreUnavailableError(f"store {name}: cannot be reached ({said})")
    kind, meaning = _POSTGRESQL.get(state, (StoreError, "unexpected answer"))
    return kind(f"store {name}: {meaning} ({said})")
