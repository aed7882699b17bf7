"""Who asked for what and did not get it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from beamctl.store.database import Database
from beamctl.store.events import append_event, now
from beamctl.store.schema import RefusalRow


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody asked for something and did not get it.

    Attributes:
        time: wall clock, for people.
        action: what was asked for.
        detail: more of it, as JSON has it.
    """

    id: int
    time: datetime
    principal: str
    action: str
    reason: str
    detail: Any


class Audit:
    """The refusals of a store; each is an event of the chain, too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refused(self, principal: str, action: str, reason: str, detail: object = None, run: int | None = None) -> None:
        """Write down that something was refused."""
        values = {"principal": principal, "action": action, "reason": reason, "detail": detail}
        with self._database.write() as connection:
            connection.execute(insert(RefusalRow).values(time=now(), **values))
            append_event(connection, "refusal", values, run, principal)

    def list(self, principal: str | None = None, before: int | None = None, limit: int = 100) -> list[Refusal]:
        """The latest first; with ``id < before`` for the next page."""
        query = select(RefusalRow).order_by(RefusalRow.id.desc()).limit(limit)
        if principal is not None:
            query = query.where(RefusalRow.principal == principal)
        if before is not None:
            query = query.where(RefusalRow.id < before)
        with self._database.read() as connection:
            return [Refusal(**row._mapping) for row in connection.execute(query)]
