"""The runs: where each of them is, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from beamctl.errors import StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import SERVICE, append_event, now
from beamctl.store.kinds import kind_column, kind_of
from beamctl.store.leases import Lease, check_run, check_section
from beamctl.store.schema import RequestRow, RunRow
from beamctl.store.states import RunKind, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that is about to begin.

    Attributes:
        request: that it answers; None for one that was started by hand.
        agent: identity of who proposes.
        agent_hashes: SHA-256 by file.
        configuration_hash: of the part of the machine description that the run depends on.
    """

    section: str
    task: str
    principal: str
    agent: str
    agent_hashes: Any
    configuration_hash: str
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(NewRun):
    """A run.

    Attributes:
        state: where it is.
        outcome: one word; empty before the end.
        reason: for the state it is in, for people.
        started, ended: wall clock, for people; ``ended`` None while it blocks its section.
        snapshot: what was found before the first put, as JSON has it; None before arming.
    """

    id: int
    state: RunState
    outcome: str
    reason: str
    started: datetime
    ended: datetime | None
    snapshot: Any


class Runs:
    """The runs of a store; who changes one shows the lease of its section."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, lease: Lease, new: NewRun) -> Run:
        """Begin a run, ``idle``.

        Raises:
            LeaseLostError: the section is somebody else's by now.
            StoreConflictError: the section has a run that has not ended.
        """
        fields = {name: getattr(new, name) for name in NewRun.__slots__}
        values = {**fields, "state": RunState.IDLE, "outcome": "", "reason": "", "started": now()}
        with self._database.write() as connection:
            check_section(connection, lease, new.section)
            blocking = select(RunRow.id, RunRow.state).where(RunRow.section == new.section, RunRow.ended.is_(None))
            row = connection.execute(blocking).first()
            if row is not None:
                raise StoreConflictError(f"section {new.section} has run {row.id}, which is {row.state.value}")
            run = connection.execute(insert(RunRow).values(**values).returning(RunRow.id)).scalar_one()
            append_event(connection, "created", {**fields, "lease": lease.token}, run, new.principal)
            return _run(connection, run)

    def set_snapshot(self, lease: Lease, run: int, snapshot: Mapping[str, object]) -> Run:
        """Note what was found before the first put; durable when this returns. Once only."""
        with self._database.write() as connection:
            check_run(connection, lease, run)
            missing = update(RunRow).where(RunRow.id == run, RunRow.snapshot.is_(None))
            if connection.execute(missing.values(snapshot=snapshot)).rowcount != 1:
                raise StoreConflictError(f"run {run} has its snapshot already")
            append_event(connection, "snapshot", snapshot, run)
            return _run(connection, run)

    def set_state(self, lease: Lease, run: int, state: RunState, reason: str = "", principal: str = SERVICE) -> Run:
        """Note where a run is now.

        Raises:
            LeaseLostError: the section is somebody else's by now.
            StoreConflictError: there is no such run, or it has ended.
        """
        return self._change(lease, run, "state", {"state": state, "reason": reason}, principal)

    def finish(
        self, lease: Lease, run: int, state: RunState, outcome: str, reason: str, principal: str = SERVICE
    ) -> Run:
        """End a run and free its section; errors as :meth:`set_state`."""
        values = {"state": state, "outcome": outcome, "reason": reason}
        return self._change(lease, run, "ended", values, principal, ended=now())

    def get(self, run: int) -> Run:
        """One of them.

        Raises:
            StoreConflictError: there is none.
        """
        with self._database.read() as connection:
            return _run(connection, run)

    def unfinished(self) -> list[Run]:
        """Those that have not ended, the oldest first: what a control process has to recover."""
        with self._database.read() as connection:
            query = select(RunRow).where(RunRow.ended.is_(None)).order_by(RunRow.id)
            return [Run(**row._mapping) for row in connection.execute(query)]

    def list(
        self,
        *,
        section: str | None = None,
        task: str | None = None,
        state: RunState | None = None,
        request: int | None = None,
        principal: str | None = None,
        kind: RunKind | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The latest first; with ``id < before`` for the next page."""
        wanted = {"section": section, "task": task, "state": state, "request": request, "principal": principal}
        query = select(RunRow).order_by(RunRow.id.desc()).limit(limit)
        if kind is not None:
            query = query.outerjoin(RequestRow, RequestRow.id == RunRow.request).where(kind_column == kind.value)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(getattr(RunRow, name) == value)
        if before is not None:
            query = query.where(RunRow.id < before)
        with self._database.read() as connection:
            return [Run(**row._mapping) for row in connection.execute(query)]

    def kind(self, run: Run) -> RunKind:
        """What a run is for; one look at the request that it answers."""
        with self._database.read() as connection:
            query = select(RequestRow.algorithm, RequestRow.dry_run).where(RequestRow.id == run.request)
            asked = connection.execute(query).one_or_none()
        return kind_of(run.agent, run.outcome, *(asked or ("", False)))

    def _change(self, lease: Lease, run: int, kind: str, values: dict[str, Any], principal: str, **more: object) -> Run:
        """Change a run that has not ended, with its event."""
        with self._database.write() as connection:
            check_run(connection, lease, run)
            before = _run(connection, run).state
            connection.execute(update(RunRow).where(RunRow.id == run).values(**values, **more))
            append_event(connection, kind, {**values, "before": before}, run, principal)
            return _run(connection, run)


def _run(connection: Connection, run: int) -> Run:
    row = connection.execute(select(RunRow).where(RunRow.id == run)).one_or_none()
    if row is None:
        raise StoreConflictError(f"there is no run {run}")
    return Run(**row._mapping)
