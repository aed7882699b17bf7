"""A copy of a store that is in use."""

import os
import sqlite3
from pathlib import Path

from beamctl.errors import StoreDamagedError, StoreError, StoreUnavailableError, StoreWriteError
from beamctl.store.faults import translated
from beamctl.store.open import Store


def back_up(store: Store, file: Path) -> int:
    """Copy a SQLite store as it is at one moment, while others go on writing; the copy is checked.

    Args:
        store: may be open for reading only.
        file: must not exist; appears only when the copy is complete and sound.

    Returns:
        size of the copy, bytes.

    Raises:
        StoreUnavailableError: the file exists; or PostgreSQL, with the command to use instead.
        StoreWriteError: no room, or not writable.
        StoreDamagedError: the copy is not sound.
    """
    if store.database.file is None:
        address = store.database.url.set(drivername="postgresql").render_as_string()
        raise StoreUnavailableError(
            f"store {store.name}: PostgreSQL makes its own backups: pg_dump --format=custom --file={file} "
            f"'{address}'; restore with pg_restore into an empty database"
        )
    if file.exists():
        raise StoreUnavailableError(f"{file} exists; a backup overwrites nothing")
    part = file.with_name(file.name + ".part")
    try:
        _copy(store, part)
        os.link(part, file)  # unlike a rename it overwrites nothing
        _sync_folder(file.parent)
    except OSError as error:
        raise StoreWriteError(f"backup {file}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size


def _copy(store: Store, part: Path) -> None:
    part.unlink(missing_ok=True)
    with translated(f"backup {part}"):
        target = sqlite3.connect(part, isolation_level=None)
        try:
            with store.database.raw() as source:
                source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            said = [row[0] for row in target.execute("PRAGMA integrity_check")]
        except StoreError as error:
            raise StoreWriteError(f"backup {part}: {error}") from error
        finally:
            target.close()
    if said != ["ok"]:
        raise StoreDamagedError(f"backup {part} of {store.name} is not sound: {'; '.join(map(str, said[:5]))}")
    with part.open("rb") as copy:
        os.fsync(copy.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
