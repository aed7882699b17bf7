"""Who may write to a section, and who is the control process: one at a time, whatever the clocks say.

Two things together keep two owners apart.

* **A lock that lives as long as its owner** (:mod:`beamctl.store.locks`). A lease is free only when the operating
  system (SQLite) or the server (PostgreSQL) says that its owner is gone. No time-out is involved, so a wall clock that
  jumps, a process that is stopped for minutes, or a slow disk frees nothing. An owner that hangs has to be ended by
  its supervisor before anybody else gets the section. The heartbeat in the table is for people.
* **A fencing token**, counted up with every acquisition. Intents, and the states of runs, are written only by whoever
  presents the latest token, checked within the same transaction. So an owner that has lost its lock without noticing
  (its connection to the server broke) cannot write an intent any more, and without an intent nothing is put.
"""

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from beamctl.errors import LeaseHeldError, LeaseLostError, StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now
from beamctl.store.locks import Lock, try_lock
from beamctl.store.schema import LeaseRow, RunRow

CONTROL = "control"
RETRY_S = 0.3
"""somebody who only looked whether a lease is free holds it for a moment"""


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """What the table says of a lease.

    Attributes:
        name: ``control`` or ``section:NAME``.
        owner: host and process that had it last.
        token: how often it was acquired.
        heartbeat: when the owner last said that it lives, wall clock, for people.
        is_held: whether it is held now.
    """

    name: str
    owner: str
    token: int
    heartbeat: datetime
    is_held: bool


class Lease:
    """A lease that we have; given up at the end of a ``with`` block, or with the process.

    Attributes:
        name: ``control`` or ``section:NAME``.
        token: the fencing token.
    """

    def __init__(self, database: Database, name: str, token: int, lock: Lock) -> None:
        self._database = database
        self._lock = lock
        self.name = name
        self.token = token

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def beat(self) -> None:
        """Say that we live, and see that the lease is ours.

        Raises:
            LeaseLostError: somebody else has it, or the server has dropped our lock: write nothing more.
        """
        if not self._lock.is_held():
            raise LeaseLostError(f"lease {self.name}, token {self.token}: the lock is gone")
        with self._database.write() as connection:
            ours = update(LeaseRow).where(LeaseRow.name == self.name, LeaseRow.token == self.token)
            if connection.execute(ours.values(heartbeat=now())).rowcount != 1:
                raise LeaseLostError(f"lease {self.name}, token {self.token}: somebody else has got it meanwhile")

    def release(self) -> None:
        """Give it up; safe to call twice."""
        self._lock.release()


class Leases:
    """The leases of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def control(self) -> Lease:
        """Become the control process; errors as :meth:`section`."""
        return self._acquire(CONTROL)

    def section(self, section: str) -> Lease:
        """Become the only writer of a section.

        Raises:
            LeaseHeldError: somebody else is; says who.
            StoreError: it could not be written down.
        """
        return self._acquire(section_lease(section))

    def list(self) -> list[LeaseInfo]:
        """Every lease that was ever held, and whether it is now."""
        with self._database.read() as connection:
            rows = connection.execute(select(LeaseRow).order_by(LeaseRow.name)).all()
        return [LeaseInfo(**row._mapping, is_held=self.is_held(row.name)) for row in rows]

    def is_held(self, name: str) -> bool:
        """Whether anybody has it now; finds out by trying."""
        lock = try_lock(self._database, name)
        if lock is None:
            return True
        lock.release()
        return False

    def _acquire(self, name: str) -> Lease:
        deadline = time.monotonic() + RETRY_S
        while (lock := try_lock(self._database, name)) is None:
            if time.monotonic() >= deadline:
                raise LeaseHeldError(f"{name} is held by {self._owner(name)}; end that process first")
            time.sleep(0.02)
        try:
            return Lease(self._database, name, self._next_token(name), lock)
        except BaseException:
            lock.release()
            raise

    def _next_token(self, name: str) -> int:
        owner = f"{socket.gethostname()} pid {os.getpid()}"
        with self._database.write() as connection:
            last = connection.execute(
                select(LeaseRow.token).where(LeaseRow.name == name).with_for_update()
            ).scalar_one_or_none()
            token = (last or 0) + 1
            values = {"owner": owner, "token": token, "heartbeat": now()}
            if last is None:
                connection.execute(insert(LeaseRow).values(name=name, **values))
            else:
                connection.execute(update(LeaseRow).where(LeaseRow.name == name).values(**values))
            append_event(connection, "lease", {"name": name, "owner": owner, "token": token})
        return token

    def _owner(self, name: str) -> str:
        with self._database.read() as connection:
            found = connection.execute(select(LeaseRow.owner).where(LeaseRow.name == name)).scalar_one_or_none()
        return found or "somebody"


def section_lease(section: str) -> str:
    """Name of the lease of a section."""
    return f"section:{section}"


def check_section(connection: Connection, lease: Lease, section: str) -> None:
    """See, within a transaction, that a lease is the section's and the latest one.

    Raises:
        LeaseLostError: somebody else has it, nothing may be written.
        StoreConflictError: it is of another section.
    """
    if lease.name != section_lease(section):
        raise StoreConflictError(f"lease {lease.name} is not that of section {section}")
    latest = connection.execute(
        select(LeaseRow.token).where(LeaseRow.name == lease.name).with_for_update(read=True)
    ).scalar_one()
    if latest != lease.token:
        raise LeaseLostError(f"lease {lease.name}, token {lease.token}: somebody else has got it, token {latest}")


def check_run(connection: Connection, lease: Lease, run: int) -> None:
    """As :func:`check_section`, for the section of a run that has not ended."""
    row = connection.execute(select(RunRow.section, RunRow.ended).where(RunRow.id == run)).one_or_none()
    if row is None:
        raise StoreConflictError(f"there is no run {run}")
    if row.ended is not None:
        raise StoreConflictError(f"run {run} has ended")
    check_section(connection, lease, row.section)
