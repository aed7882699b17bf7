"""What people want to be done, in the order in which they asked."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from beamctl.errors import StoreConflictError
from beamctl.store.canonical import canonical
from beamctl.store.database import Database
from beamctl.store.events import SERVICE, append_event, now
from beamctl.store.schema import RequestRow
from beamctl.store.states import RequestState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What somebody asks for.

    Attributes:
        idempotency_key: chosen by who asks; the same key again is the same request again.
        target, budgets: as JSON has it.
        dry_run: propose only, write nothing.
        needs_approval: a person looks at every step before it is written.
        note: for the record, one line.
    """

    task: str
    section: str
    algorithm: str
    agent: str
    principal: str
    idempotency_key: str
    target: Any = None
    budgets: Any = None
    dry_run: bool = False
    needs_approval: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(NewRequest):
    """What somebody asked for, and what became of it.

    Attributes:
        reason: why it was refused or cancelled; empty before.
        created: wall clock, for people.
    """

    id: int
    state: RequestState
    reason: str
    created: datetime


class Requests:
    """The requests of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, new: NewRequest) -> Request:
        """Ask for something; with a key that was used before, find what was asked for then.

        Raises:
            StoreConflictError: the key was used for something else.
        """
        with self._database.write() as connection:
            found = self._insert(connection, new)
            request = _request(connection, RequestRow.idempotency_key == new.idempotency_key)
            if found is not None:
                append_event(connection, "requested", {"request": found, **asdict(new)}, principal=new.principal)
        asked = canonical(asdict(new))
        if found is None and canonical({name: getattr(request, name) for name in asdict(new)}) != asked:
            raise StoreConflictError(
                f"the idempotency key {new.idempotency_key!r} belongs to request {request.id}, which asks for "
                "something else: choose another key"
            )
        return request

    def claim(self, busy: Collection[str] = ()) -> Request | None:
        """Take the oldest waiting request, for whose section there is room; two callers never get the same one.

        Args:
            busy: sections to leave out.
        """
        waiting = (
            select(RequestRow.id)
            .where(RequestRow.state == RequestState.WAITING, RequestRow.section.not_in(busy))
            .order_by(RequestRow.id)
            .limit(1)
        )
        with self._database.read() as connection:  # mostly there is nothing, and looking disturbs nobody
            if connection.execute(waiting).first() is None:
                return None
        with self._database.write() as connection:
            found = connection.execute(waiting.with_for_update(skip_locked=True)).scalar_one_or_none()
            if found is None:
                return None
            return self._move(connection, found, RequestState.WAITING, RequestState.CLAIMED, "", SERVICE)

    def finish(self, request: int, reason: str = "") -> Request:
        """A claimed request has had its run; errors as :meth:`cancel`."""
        with self._database.write() as connection:
            return self._move(connection, request, RequestState.CLAIMED, RequestState.DONE, reason, SERVICE)

    def refuse(self, request: int, reason: str) -> Request:
        """A claimed request is not followed; errors as :meth:`cancel`."""
        with self._database.write() as connection:
            return self._move(connection, request, RequestState.CLAIMED, RequestState.REFUSED, reason, SERVICE)

    def cancel(self, request: int, principal: str, reason: str = "") -> Request:
        """Somebody does not want a waiting request any more.

        Raises:
            StoreConflictError: it is not there, or not in the state for this; says in which.
        """
        with self._database.write() as connection:
            return self._move(connection, request, RequestState.WAITING, RequestState.CANCELLED, reason, principal)

    def get(self, request: int) -> Request:
        """One of them.

        Raises:
            StoreConflictError: there is none.
        """
        with self._database.read() as connection:
            return _request(connection, RequestRow.id == request)

    def list(self, state: RequestState | None = None, before: int | None = None, limit: int = 100) -> list[Request]:
        """The latest first; with ``id < before`` for the next page."""
        query = select(RequestRow).order_by(RequestRow.id.desc()).limit(limit)
        if state is not None:
            query = query.where(RequestRow.state == state)
        if before is not None:
            query = query.where(RequestRow.id < before)
        with self._database.read() as connection:
            return [Request(**row._mapping) for row in connection.execute(query)]

    def _insert(self, connection: Connection, new: NewRequest) -> int | None:
        """The id, or None where the key is taken."""
        values = {**asdict(new), "state": RequestState.WAITING, "reason": "", "created": now()}
        statement = self._database.insert_new(RequestRow).values(**values)
        return connection.execute(statement.returning(RequestRow.id)).scalar_one_or_none()

    @staticmethod
    def _move(
        connection: Connection, request: int, old: RequestState, new: RequestState, reason: str, principal: str
    ) -> Request:
        """From one state to the next, with its event."""
        moved = update(RequestRow).where(RequestRow.id == request, RequestRow.state == old)
        if connection.execute(moved.values(state=new, reason=reason)).rowcount != 1:
            state = _request(connection, RequestRow.id == request).state
            raise StoreConflictError(f"request {request} is {state.value}, not {old.value}")
        append_event(connection, new.value, {"request": request, "reason": reason}, principal=principal)
        return _request(connection, RequestRow.id == request)


def _request(connection: Connection, condition: Any) -> Request:
    row = connection.execute(select(RequestRow).where(condition)).one_or_none()
    if row is None:
        raise StoreConflictError("there is no such request")
    return Request(**row._mapping)
