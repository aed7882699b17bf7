"""The chain of events: every event carries the hash of the one before it.

Whoever changes, removes or inserts an event breaks the chain. Whoever computes all later hashes anew does not, unless
the end of the chain (sequence number and hash, as ``beamctl store check`` prints it) was noted outside of the store.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from beamctl.store.canonical import utc_text
from beamctl.store.schema import ChainRow, EventRow

GENESIS = "0" * 64
"""what the first event has before it"""


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """Sequence number and hash of the last event; 0 and zeros for none."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What became of the chain.

    Attributes:
        count: events that were looked at.
        end: where it should end.
        fault: the first thing that is wrong; empty where nothing is.
    """

    count: int
    end: ChainEnd
    fault: str


def event_hash(
    seq: int, run: int | None, kind: str, payload: str, principal: str, time: datetime, previous: str
) -> str:
    """SHA-256 of all that an event says, and of what was before."""
    said = json.dumps([seq, run, kind, payload, principal, utc_text(time), previous], separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def chain_end(connection: Connection, *, for_update: bool = False) -> ChainEnd:
    """Where the chain ends; locked against other writers until the transaction ends, where asked for."""
    query = select(ChainRow.seq, ChainRow.hash)
    row = connection.execute(query.with_for_update() if for_update else query).one()
    return ChainEnd(row.seq, row.hash)


def verify_chain(connection: Connection, noted: ChainEnd | None = None) -> ChainReport:
    """Compute every hash again, from the first event to the last.

    Args:
        connection: in a transaction that sees one moment.
        noted: an earlier end of the chain, kept outside of the store.
    """
    end = chain_end(connection)
    count, last, fault = 0, ChainEnd(0, GENESIS), ""
    rows = connection.execution_options(yield_per=2000).execute(select(EventRow).order_by(EventRow.seq))
    for row in rows:
        fault = fault or _fault(row, last)
        count, last = count + 1, ChainEnd(row.seq, row.hash)
        if noted is not None and noted.seq == last.seq and noted.hash != last.hash:
            fault = fault or f"event {last.seq} is not the one that was noted: hash {last.hash}, noted {noted.hash}"
    if last != end:
        fault = fault or f"the last event is {last.seq}, the last one written was {end.seq}: events are missing"
    if noted is not None and noted.seq > last.seq:
        fault = fault or f"event {noted.seq} was noted, but the last one is {last.seq}: events are missing"
    return ChainReport(count, end, fault)


def _fault(row: Row[Any], last: ChainEnd) -> str:
    """What is wrong with one event; empty where nothing is."""
    seq, previous = row.seq, row.previous
    if seq != last.seq + 1:
        return f"event {seq} follows event {last.seq}: events are missing"
    if previous != last.hash:
        return f"event {seq} does not follow the event {last.seq} that is there"
    computed = event_hash(seq, row.run, row.kind, row.payload, row.principal, row.time, previous)
    return "" if computed == row.hash else f"event {seq} was changed"
