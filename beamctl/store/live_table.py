"""Live readings in an UNLOGGED table of PostgreSQL: not in the server's log, empty after a crash of the server."""

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, func, select, text
from sqlalchemy.dialects.postgresql import insert

from beamctl.store.database import Database
from beamctl.store.live_file import next_number
from beamctl.store.schema import LIVE_TABLE

PUBLISHING_KEY = 0x6C697665
"""the lock under which one publishes at a time"""
_QUICKLY = f"""
SET LOCAL lock_timeout = '50ms';
SET LOCAL statement_timeout = '1s';
SET LOCAL synchronous_commit = off;
SELECT pg_advisory_xact_lock({PUBLISHING_KEY})
"""
_LIVE = Table(
    LIVE_TABLE,
    MetaData(),
    Column("section", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time", Text, nullable=False),
    Column("payload", Text, nullable=False),
)
_NEW = insert(_LIVE)
_WRITE = _NEW.on_conflict_do_update(
    index_elements=[_LIVE.c.section],
    set_={name: _NEW.excluded[name] for name in ("number", "time", "payload")},
)
_NUMBER = select(func.max(_LIVE.c.number))
_READ = select(_LIVE).order_by(_LIVE.c.section)


class LiveTable:
    """The table; implements :class:`beamctl.store.live.LiveRows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, payloads: Mapping[str, str], time: str) -> None:
        """Replace rows, all at once."""
        with self._database.write() as connection:
            connection.execute(text(_QUICKLY))
            number = next_number(connection.execute(_NUMBER).scalar_one())
            rows = [
                {"section": section, "number": number, "time": time, "payload": payload}
                for section, payload in sorted(payloads.items())
            ]
            connection.execute(_WRITE, rows)

    def read(self) -> list[tuple[str, int, str, str]]:
        """All rows: section, number, time, payload."""
        with self._database.read() as connection:
            return [(row.section, row.number, row.time, row.payload) for row in connection.execute(_READ)]

    def number(self) -> int:
        """Of the newest row; 0: none."""
        with self._database.read() as connection:
            return connection.execute(_NUMBER).scalar_one() or 0

    def close(self) -> None:
        """The connections are the database's."""
