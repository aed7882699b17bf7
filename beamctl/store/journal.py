"""Every put is written down before it is sent, and what became of it afterwards.

After a crash the control process finds here what may have been written: an intent without outcome was or was not
sent, one with outcome ``unknown`` may still be applied by the IOC.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, insert, or_, select, true, update

from beamctl.engine.base import Outcome, WriteResult
from beamctl.errors import StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import now
from beamctl.store.leases import Lease, check_run
from beamctl.store.schema import IntentRow


@dataclass(frozen=True, slots=True)
class Put:
    """What is about to be written to one setpoint, in its unit.

    Attributes:
        old: what it holds.
        new: what it shall hold.
    """

    pv: str
    old: float
    new: float


@dataclass(frozen=True, slots=True)
class Intent:
    """A put as it was written down.

    Attributes:
        seq: number of the group within the run, from 1; a group is sent together.
        written: wall clock, for people.
        outcome: None where nobody has said yet what became of it.
        held: what the IOC held afterwards; NaN where unknown.
        message: for people.
        settled: when the outcome was written, wall clock.
    """

    id: int
    run: int
    seq: int
    pv: str
    old: float
    new: float
    written: datetime
    outcome: Outcome | None
    held: float
    message: str
    settled: datetime | None

    @property
    def is_settled(self) -> bool:
        """Whether it is known what became of it."""
        return self.outcome not in (None, Outcome.UNKNOWN)


_OPEN = or_(IntentRow.outcome.is_(None), IntentRow.outcome == Outcome.UNKNOWN)
_INTEND = insert(IntentRow).returning(IntentRow.id, sort_by_parameter_order=True)
_SETTLE = (
    update(IntentRow)
    .where(IntentRow.id == bindparam("of"), _OPEN)
    .values({name: bindparam(f"{name}_") for name in ("outcome", "held", "message", "settled")})
)


class Journal:
    """The intents of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def intend(self, lease: Lease, run: int, puts: Sequence[Put]) -> list[int]:
        """Write down a whole step, at once; durable when this returns, and only then may anything be sent.

        Returns:
            one id per put, in their order, for :meth:`settle`.

        Raises:
            LeaseLostError: the section is somebody else's by now.
            StoreConflictError: no such run, or it has ended; a value is not finite, a PV comes twice.
            StoreError: not written. After any of these nothing may be sent.
        """
        bad = [put for put in puts if not (math.isfinite(put.old) and math.isfinite(put.new))]
        if bad:
            raise StoreConflictError(f"not finite: {bad}")
        if not puts:
            return []
        with self._database.write() as connection:
            check_run(connection, lease, run)
            last = connection.execute(select(func.max(IntentRow.seq)).where(IntentRow.run == run)).scalar_one()
            group = {"run": run, "seq": (last or 0) + 1, "written": now(), "message": ""}
            rows = [{**group, "pv": put.pv, "old": float(put.old), "new": float(put.new)} for put in puts]
            return list(connection.execute(_INTEND, rows).scalars())

    def settle(self, results: Mapping[int, WriteResult]) -> None:
        """Write down what became of puts, all at once; ``unknown`` may be settled again, nothing else.

        Args:
            results: by the id that :meth:`intend` gave.

        Raises:
            StoreConflictError: one is not there, or was settled before; none was settled by this.
        """
        if not results:
            return
        time = now()
        rows = [
            {
                "of": intent,
                "outcome_": result.outcome,
                "held_": None if math.isnan(result.held) else float(result.held),
                "message_": result.message,
                "settled_": time,
            }
            for intent, result in results.items()
        ]
        with self._database.write() as connection:
            if connection.execute(_SETTLE, rows).rowcount != len(rows):
                raise StoreConflictError(f"of the intents {sorted(results)} some are missing or were settled before")

    def unsettled(self, run: int | None = None) -> list[Intent]:
        """Intents without outcome or with outcome ``unknown``, of one run or of all, the oldest first."""
        return self._read(_of(run), _OPEN)

    def of_run(self, run: int) -> list[Intent]:
        """All of a run, the oldest first."""
        return self._read(_of(run))

    def last_intended(self, run: int) -> dict[str, Intent]:
        """The latest one of every setpoint that a run has meant to write, by PV."""
        latest = select(func.max(IntentRow.id)).where(IntentRow.run == run).group_by(IntentRow.pv)
        return {intent.pv: intent for intent in self._read(IntentRow.id.in_(latest))}

    def _read(self, *conditions: ColumnElement[bool]) -> list[Intent]:
        query = select(IntentRow).where(*conditions).order_by(IntentRow.id)
        with self._database.read() as connection:
            return [_intent(row) for row in connection.execute(query)]


def _of(run: int | None) -> ColumnElement[bool]:
    return true() if run is None else IntentRow.run == run


def _intent(row: Row[Any]) -> Intent:
    found = row._mapping
    return Intent(**{**found, "held": math.nan if found["held"] is None else found["held"]})
