"""The tables as they are now; how they came about is in ``migrations``.

Rows of the record are never deleted. ``events`` and ``refusals`` are append-only, and an intent is settled once:
triggers of the database refuse everything else, also from a database shell. Accounts, sessions, keys and switches are
changed and deleted; what became of them is in the events.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from beamctl.engine.base import Outcome
from beamctl.store.columns import CanonicalJson, ExactFloat, Utc, words
from beamctl.store.states import RequestState, Role, RunState, Verb

REVISIONS = ("r0001", "r0002")
"""every revision that this version knows, the oldest first; the last one is what the tables below describe"""
VERSION_TABLE = "beamctl_schema"
LIVE_TABLE = "live"
"""readings, on PostgreSQL only and no part of the record: see :mod:`beamctl.store.live`"""

_Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Common to all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        int: _Id,
        str: Text,
        float: Double,
        datetime: Utc,
        Any: CanonicalJson,
        Outcome: words(Outcome),
        RequestState: words(RequestState),
        Role: words(Role),
        RunState: words(RunState),
        Verb: words(Verb),
    }


class RequestRow(Base):
    """Somebody wants something to be done."""

    __tablename__ = "requests"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    section: Mapped[str]
    algorithm: Mapped[str]
    agent: Mapped[str]
    target: Mapped[Any | None]
    budgets: Mapped[Any | None]
    dry_run: Mapped[bool]
    needs_approval: Mapped[bool]
    note: Mapped[str] = mapped_column(server_default="")
    idempotency_key: Mapped[str] = mapped_column(String(200), unique=True)
    principal: Mapped[str]
    state: Mapped[RequestState] = mapped_column(index=True)
    reason: Mapped[str]
    created: Mapped[datetime]


class RunRow(Base):
    """One attempt; at most one per section that has not ended."""

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "ix_runs_one_per_section", "section", unique=True,
            sqlite_where=text("ended IS NULL"), postgresql_where=text("ended IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    request: Mapped[int | None] = mapped_column(ForeignKey("requests.id"), index=True)
    section: Mapped[str]
    task: Mapped[str]
    principal: Mapped[str]
    agent: Mapped[str]
    agent_hashes: Mapped[Any | None]
    configuration_hash: Mapped[str]
    state: Mapped[RunState]
    outcome: Mapped[str]
    reason: Mapped[str]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    snapshot: Mapped[Any | None]


class CommandRow(Base):
    """What a person told a run."""

    __tablename__ = "commands"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    verb: Mapped[Verb]
    principal: Mapped[str]
    created: Mapped[datetime]
    taken: Mapped[datetime | None]


class EventRow(Base):
    """Something that happened; ``hash`` covers every other column and the hash before."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    run: Mapped[int | None] = mapped_column(ForeignKey("runs.id"), index=True)
    kind: Mapped[str]
    payload: Mapped[str]
    principal: Mapped[str]
    time: Mapped[datetime]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class ChainRow(Base):
    """The one row that says where the chain of events ends; whoever appends locks it."""

    __tablename__ = "chain"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


class IntentRow(Base):
    """A put, written down before it was sent; ``seq`` counts the groups of a run that were put together."""

    __tablename__ = "intents"
    __table_args__ = (UniqueConstraint("run", "seq", "pv"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    seq: Mapped[int]
    pv: Mapped[str]
    old: Mapped[float]
    new: Mapped[float]
    written: Mapped[datetime]
    outcome: Mapped[Outcome | None]
    held: Mapped[float | None]
    message: Mapped[str]
    settled: Mapped[datetime | None]


class SampleRow(Base):
    """One value of one PV as it arrived."""

    __tablename__ = "samples"
    __table_args__ = (Index(None, "run", "step"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    step: Mapped[int]
    pv: Mapped[str]
    value: Mapped[float | None] = mapped_column(ExactFloat)
    text: Mapped[str | None]
    severity: Mapped[int]
    status: Mapped[int]
    stamp: Mapped[float] = mapped_column(ExactFloat)
    received: Mapped[float] = mapped_column(ExactFloat)
    seq: Mapped[int]
    connected: Mapped[bool]


class RefusalRow(Base):
    """Somebody asked for something and did not get it."""

    __tablename__ = "refusals"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    principal: Mapped[str]
    action: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[Any | None]


class LeaseRow(Base):
    """Who had a lease last; whether it is held is asked of the operating system or the server, never of this row."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner: Mapped[str]
    token: Mapped[int]
    heartbeat: Mapped[datetime]


class UserRow(Base):
    """Somebody, or some program, that may log in."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    role: Mapped[Role]
    enabled: Mapped[bool]
    password_hash: Mapped[str | None]
    must_change: Mapped[bool]
    created: Mapped[datetime]
    last_login: Mapped[datetime | None]
    version: Mapped[int]


class SessionRow(Base):
    """A login that has not ended."""

    __tablename__ = "sessions"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    created: Mapped[datetime]
    expires: Mapped[datetime]
    last_used: Mapped[datetime]


class KeyRow(Base):
    """A credential of a program."""

    __tablename__ = "keys"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str]
    owner: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    label: Mapped[str]
    scope: Mapped[Role]
    created: Mapped[datetime]
    expires: Mapped[datetime]
    last_used: Mapped[datetime | None]
    revoked: Mapped[bool]


class SwitchRow(Base):
    """Whether runs may use an agent; an agent without a row may be used."""

    __tablename__ = "switches"

    agent: Mapped[str] = mapped_column(String(200), primary_key=True)
    enabled: Mapped[bool]
    principal: Mapped[str]
    time: Mapped[datetime]
    reason: Mapped[str]
    version: Mapped[int]
