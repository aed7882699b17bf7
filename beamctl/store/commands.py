"""What people tell a run; each command is taken once, in order."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from beamctl.errors import StaleVersionError, StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now
from beamctl.store.schema import CommandRow, EventRow, RunRow
from beamctl.store.states import Verb

DECIDING = ("state", "ended", "proposed")
"""kinds of events that change what people decide on"""


@dataclass(frozen=True, slots=True)
class Command:
    """What a person told a run.

    Attributes:
        created, taken: wall clock, for people; ``taken`` None where the control process has not seen it.
    """

    id: int
    run: int
    verb: Verb
    principal: str
    created: datetime
    taken: datetime | None


class Commands:
    """The commands of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def send(self, run: int, verb: Verb, principal: str, seen: int | None = None) -> int:
        """Tell a run something; durable when this returns.

        Args:
            run: its number.
            verb: what.
            principal: who.
            seen: the newest of the DECIDING events that they know of; None: they decide whatever has happened.

        Returns:
            the command's id.

        Raises:
            StoreConflictError: there is no such run, or it has ended.
            StaleVersionError: something has happened since.
        """
        with self._database.write() as connection:
            row = connection.execute(select(RunRow.ended).where(RunRow.id == run)).one_or_none()
            if row is None or row.ended is not None:
                raise StoreConflictError(f"run {run} {'has ended' if row else 'does not exist'}: {verb.value} is late")
            if seen is not None:
                _check_seen(connection, run, seen)
            values = {"run": run, "verb": verb, "principal": principal, "created": now()}
            sent = connection.execute(insert(CommandRow).values(**values).returning(CommandRow.id)).scalar_one()
            append_event(connection, "command", {"command": sent, "verb": verb.value}, run, principal)
            return sent

    def pending(self, run: int) -> list[Command]:
        """Those that were not taken, the oldest first; writes nothing, so it works on a full disk too."""
        query = select(CommandRow).where(CommandRow.run == run, CommandRow.taken.is_(None)).order_by(CommandRow.id)
        with self._database.read() as connection:
            return [Command(**row._mapping) for row in connection.execute(query)]

    def take(self, run: int) -> list[Command]:
        """As :meth:`pending`, and nobody gets them again."""
        if not self.pending(run):
            return []
        time = now()
        statement = update(CommandRow).where(CommandRow.run == run, CommandRow.taken.is_(None)).values(taken=time)
        with self._database.write() as connection:
            rows = connection.execute(statement.returning(*CommandRow.__table__.columns)).all()
        return sorted((Command(**row._mapping) for row in rows), key=lambda command: command.id)


def _check_seen(connection: Connection, run: int, seen: int) -> None:
    newest = select(func.max(EventRow.seq)).where(EventRow.run == run, EventRow.kind.in_(DECIDING))
    latest = connection.execute(newest).scalar_one() or 0
    if latest != seen:
        raise StaleVersionError(f"run {run}", seen, latest)
