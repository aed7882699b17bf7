"""Connections and transactions; the only module that knows how the two databases differ in this."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, QueuePool, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from beamctl.errors import StoreUnavailableError
from beamctl.store.faults import translated

LOCK_WAIT_S = 5.0
"""longest wait for another writer"""
POOL = 40
"""SQLite: connections that are kept, one for every thread of a service that answers many at once"""
_WRITES = "beamctl_writes"
_POSTGRESQL_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms: a server that is gone must not hold up whoever is about to write
}


class Database:
    """One database, by URL.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://...``.
        read_only: refuse every write.

    Attributes:
        name: for people, without password.
        file: of SQLite, absolute; None for PostgreSQL.
        url: as the driver needs it.

    Raises:
        StoreUnavailableError: the URL is of another kind, or the driver is missing.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = _parsed(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.read_only = read_only
        self.file = Path(str(self.url.database)).absolute() if self.is_sqlite else None
        self._engine = self._postgresql() if self.file is None else self._sqlite(self.file)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        self._moment: ContextVar[Connection | None] = ContextVar("moment", default=None)

    @property
    def is_sqlite(self) -> bool:
        """SQLite, not PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and sees one moment; errors as :func:`beamctl.store.faults.translated`."""
        if (shared := self._moment.get()) is not None:
            yield shared
            return
        with translated(self.name), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All reads of this thread within the block are one transaction; errors as :meth:`read`.

        Cheaper than many, and on SQLite they see the same moment. What is written meanwhile is not seen within it.
        """
        with self.read() as connection:
            token = self._moment.set(connection)
            try:
                yield
            finally:
                self._moment.reset(token)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block has been left, or has not happened.

        On SQLite the one writer of the file from the start; errors as :func:`beamctl.store.faults.translated`.
        """
        with translated(self.name), self._writing.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def raw(self) -> Iterator[Any]:
        """A connection of the driver's own, in no transaction, for what SQL cannot say; closed afterwards."""
        with translated(self.name):
            connection = self.dedicated()
            try:
                yield connection
            finally:
                connection.close()

    def dedicated(self) -> Any:
        """A connection of the driver's own that the caller closes."""
        with translated(self.name):
            connection = self._engine.raw_connection()
            connection.detach()
            if not self.is_sqlite:
                connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
            return connection.dbapi_connection

    def insert_new(self, table: Any) -> Insert:
        """An insert that leaves alone what is there already."""
        if self.is_sqlite:
            from sqlalchemy.dialects.sqlite import insert as insert_sqlite

            return insert_sqlite(table).on_conflict_do_nothing()
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return insert_postgresql(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Give all connections back; safe to call twice."""
        self._engine.dispose()

    def _sqlite(self, file: Path) -> Engine:
        address = f"{file.as_uri()}?mode={'ro' if self.read_only else 'rwc'}"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(address, LOCK_WAIT_S, isolation_level=None, check_same_thread=False, uri=True)
            try:
                _configure(connection, read_only=self.read_only)
            except BaseException:
                connection.close()
                raise
            return connection

        engine = create_engine("sqlite://", creator=connect, pool_size=POOL, poolclass=QueuePool)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(_WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _postgresql(self) -> Engine:
        options = f"-c synchronous_commit=on -c lock_timeout={1000 * LOCK_WAIT_S:.0f} -c timezone=UTC"
        if self.read_only:
            options += " -c default_transaction_read_only=on"
        given = str(self.url.query.get("options", ""))
        arguments = {**_POSTGRESQL_CONNECT, "options": f"{given} {options}".strip()}
        try:
            return create_engine(self.url, connect_args=arguments, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise StoreUnavailableError(
                f"store {self.name}: the PostgreSQL driver is missing: pip install 'beamctl[postgresql]'"
            ) from error


def server_setting(connection: Connection, name: str) -> str:
    """A setting of the PostgreSQL server."""
    return str(connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one())


def _configure(connection: sqlite3.Connection, *, read_only: bool) -> None:
    """Durable, exact, and closed to the back doors of SQLite (REPLACE deletes without asking triggers)."""
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA recursive_triggers=ON")
    connection.execute("PRAGMA synchronous=FULL")
    if read_only:
        return
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailableError(f"SQLite keeps its journal as {mode!r} here; a local file system is needed")


def _parsed(url: str) -> URL:
    """The URL with the driver that we use.

    Raises:
        StoreUnavailableError: of a kind that we do not use.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreUnavailableError(
            f"store {url!r} is no URL; sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:" and not parsed.query:
        return parsed
    raise StoreUnavailableError(
        f"store {parsed.render_as_string()}: a file is needed, sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
    )
