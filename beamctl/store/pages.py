"""What pages and lists show, each in one query of bounded size; nothing here is needed to control anything."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from beamctl.store.database import Database
from beamctl.store.events import Event
from beamctl.store.kinds import kind_column
from beamctl.store.requests import Request
from beamctl.store.runs import Run
from beamctl.store.schema import EventRow, IntentRow, LeaseRow, RequestRow, RunRow
from beamctl.store.states import RunKind, RunState


@dataclass(frozen=True, slots=True)
class Listed:
    """A run, with what was asked for.

    Attributes:
        request: None for one that was started by hand.
    """

    run: Run
    kind: RunKind
    request: Request | None


@dataclass(frozen=True, slots=True)
class FigureRow:
    """What a reading of a run was worth.

    Attributes:
        step: steps taken until then; None for the result.
        figures: as JSON has them.
    """

    run: int
    seq: int
    step: int | None
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has, or had, a lease."""

    owner: str
    heartbeat: datetime


class Pages:
    """Reads a store for people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs(
        self,
        *,
        run: int | None = None,
        section: str | None = None,
        task: str | None = None,
        state: RunState | None = None,
        kind: RunKind | None = None,
        principal: str | None = None,
        request: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Listed]:
        """The latest first; with ``id < before`` for the next page."""
        wanted = {"id": run, "section": section, "task": task, "state": state, "principal": principal}
        wanted["request"] = request
        conditions: list[ColumnElement[bool]] = [
            getattr(RunRow, name) == value for name, value in wanted.items() if value is not None
        ]
        if kind is not None:
            conditions.append(kind_column == kind.value)
        if before is not None:
            conditions.append(RunRow.id < before)
        query = _LISTED.where(*conditions).order_by(RunRow.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_listed(row) for row in connection.execute(query)]

    def latest_runs(self) -> dict[str, Listed]:
        """The newest run of every section that ever had one."""
        newest = select(func.max(RunRow.id)).group_by(RunRow.section)
        with self._database.read() as connection:
            found = [_listed(row) for row in connection.execute(_LISTED.where(RunRow.id.in_(newest)))]
        return {one.run.section: one for one in found}

    def runs_of(self, requests: Collection[int]) -> dict[int, int]:
        """Number of the run by number of the request that it answers."""
        query = select(RunRow.request, RunRow.id).where(RunRow.request.in_(list(requests)))
        with self._database.read() as connection:
            return {row.request: row.id for row in connection.execute(query)}

    def request_with(self, key: str) -> Request | None:
        """What was asked for with an idempotency key; None: nothing."""
        with self._database.read() as connection:
            row = connection.execute(select(RequestRow).where(RequestRow.idempotency_key == key)).one_or_none()
        return None if row is None else Request(**row._mapping)

    def touched(self, runs: Collection[int]) -> set[int]:
        """Those of the runs that have meant to write something."""
        query = select(RunRow.id).where(RunRow.id.in_(list(runs)), select(1).where(IntentRow.run == RunRow.id).exists())
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def figures(self, runs: Collection[int], after: int = 0) -> list[FigureRow]:
        """Figures of all readings of runs behind an event, in order; last, where there is one, those of the result."""
        visited = EventRow.kind == "visited"
        query = (
            select(
                EventRow.run,
                EventRow.seq,
                case((visited, self._part("step"))).label("step"),
                case((visited, self._part("figures")), else_=self._part("final")).label("figures"),
            )
            .where(EventRow.run.in_(list(runs)), EventRow.seq > after, EventRow.kind.in_(("visited", "result")))
            .order_by(EventRow.seq)
        )
        with self._database.read() as connection:
            return [_figures(row) for row in connection.execute(query)]

    def latest(self, run: int, kinds: Sequence[str], after: int = 0) -> Event | None:
        """The newest event of some kinds of a run behind an event."""
        return next(iter(self.events(run, kinds, after, limit=1, newest_first=True)), None)

    def events(
        self, run: int, kinds: Sequence[str], after: int = 0, limit: int | None = None, *, newest_first: bool = False
    ) -> list[Event]:
        """Events of some kinds of a run behind an event."""
        order = EventRow.seq.desc() if newest_first else EventRow.seq
        conditions = and_(EventRow.run == run, EventRow.kind.in_(kinds), EventRow.seq > after)
        with self._database.read() as connection:
            rows = connection.execute(select(EventRow).where(conditions).order_by(order).limit(limit)).all()
        return [Event(**{**row._mapping, "payload": json.loads(row.payload)}) for row in rows]

    def owner(self, lease: str) -> Owner | None:
        """Who has, or had, a lease; None: nobody ever."""
        query = select(LeaseRow.owner, LeaseRow.heartbeat).where(LeaseRow.name == lease)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Owner(row.owner, row.heartbeat)

    def counts(self) -> dict[RunState, int]:
        """How many runs are in which state."""
        with self._database.read() as connection:
            rows = connection.execute(select(RunRow.state, func.count()).group_by(RunRow.state)).all()
        return {row[0]: row[1] for row in rows}

    def _part(self, name: str) -> ColumnElement[Any]:
        """A part of a payload, as text where it is no number."""
        if self._database.is_sqlite:
            return func.json_extract(EventRow.payload, f"$.{name}")
        found: ColumnElement[Any] = cast(EventRow.payload, JSONB)[name].astext
        return found


def _selected() -> Select[Any]:
    run = [column.label(f"run_{column.name}") for column in RunRow.__table__.columns]
    request = [column.label(f"request_{column.name}") for column in RequestRow.__table__.columns]
    joined = RunRow.__table__.outerjoin(RequestRow.__table__, RunRow.request == RequestRow.id)
    return select(*run, *request, kind_column.label("kind")).select_from(joined)


_LISTED = _selected()


def _listed(row: Row[Any]) -> Listed:
    found = row._mapping
    run = {column.name: found[f"run_{column.name}"] for column in RunRow.__table__.columns}
    request = {column.name: found[f"request_{column.name}"] for column in RequestRow.__table__.columns}
    return Listed(Run(**run), RunKind(found["kind"]), None if request["id"] is None else Request(**request))


def _figures(row: Row[Any]) -> FigureRow:
    step = None if row.step is None else int(row.step)
    return FigureRow(row.run, row.seq, step, json.loads(row.figures) if row.figures else {})
