"""What happened, in order, never changed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from beamctl.store.canonical import canonical
from beamctl.store.chain import ChainEnd, chain_end, event_hash
from beamctl.store.database import Database
from beamctl.store.schema import ChainRow, EventRow

SERVICE = "beamctl"
"""the principal of what no person asked for"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        seq: counts from 1 without gaps; what a client resumes by.
        run: None for what belongs to no run.
        kind: one word, what the payload is.
        payload: as JSON has it; NaN and infinities are strings.
        principal: who asked for it.
        time: wall clock, for people; the order is that of ``seq``.
        previous, hash: the chain, see :mod:`beamctl.store.chain`.
    """

    seq: int
    run: int | None
    kind: str
    payload: Any
    principal: str
    time: datetime
    previous: str
    hash: str


class Events:
    """The events of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, kind: str, payload: object = None, run: int | None = None, principal: str = SERVICE) -> Event:
        """Write one down; it is durable when this returns.

        Raises:
            StoreError: it was not written.
        """
        with self._database.write() as connection:
            return append_event(connection, kind, payload, run, principal)

    def read(self, after: int = 0, run: int | None = None, limit: int = 500) -> list[Event]:
        """Events with ``seq > after``, the oldest first; of one run, or of all and none."""
        query = select(EventRow).where(EventRow.seq > after).order_by(EventRow.seq).limit(limit)
        if run is not None:
            query = query.where(EventRow.run == run)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Event(**{**row._mapping, "payload": json.loads(row.payload)}) for row in rows]

    def end(self) -> ChainEnd:
        """Sequence number and hash of the last event; to be noted elsewhere by whoever trusts nobody."""
        with self._database.read() as connection:
            return chain_end(connection)


def append_event(
    connection: Connection, kind: str, payload: object, run: int | None = None, principal: str = SERVICE
) -> Event:
    """Write an event within a transaction: together with what it tells of, or not at all."""
    last = chain_end(connection, for_update=True)
    time, seq, text = now(), last.seq + 1, canonical(payload)
    digest = event_hash(seq, run, kind, text, principal, time, last.hash)
    connection.execute(
        insert(EventRow).values(
            seq=seq, run=run, kind=kind, payload=text, principal=principal, time=time, previous=last.hash, hash=digest
        )
    )
    connection.execute(update(ChainRow).values(seq=seq, hash=digest))
    return Event(seq, run, kind, json.loads(text), principal, time, last.hash, digest)


@contextmanager
def recording(database: Database) -> Iterator[Connection]:
    """A transaction that comes after all others that append events: what it reads of them stays true until it ends."""
    with database.write() as connection:
        chain_end(connection, for_update=True)
        yield connection


def now() -> datetime:
    """Wall clock time, for people: nothing is ever judged by it."""
    return datetime.now(UTC)
