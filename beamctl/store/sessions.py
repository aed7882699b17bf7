"""Logins that have not ended: who shows the token of a session is its user.

A session that has expired, or whose user is disabled, is not found. Only here and in keys is something judged by the
wall clock, that of the service's host.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from beamctl.errors import StoreError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now, recording
from beamctl.store.schema import KeyRow, SessionRow, UserRow
from beamctl.store.users import USER_COLUMNS, User, enabled_user, joined_user

KIND = "session"
"""of the events"""
TOUCH_EVERY = timedelta(minutes=1)
"""how exact ``last_used`` of sessions and keys is"""

_FIND = (
    select(SessionRow.id, SessionRow.created, SessionRow.expires, SessionRow.last_used, *USER_COLUMNS)
    .join(UserRow, UserRow.name == SessionRow.owner)
    .where(SessionRow.token_hash == bindparam("token_hash"))
)


@dataclass(frozen=True, slots=True)
class Session:
    """A login.

    Attributes:
        user: as the account is now.
        expires: it is not found from then on.
        last_used: to a minute.
    """

    id: int
    user: User
    created: datetime
    expires: datetime
    last_used: datetime


class Sessions:
    """The sessions of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, token_hash: str, user: str, expires: datetime) -> Session:
        """Begin one, and forget those that have expired.

        Args:
            token_hash: SHA-256 of the token, hexadecimal; never the token itself.
            user: name of the account.
            expires: when it ends by itself.

        Raises:
            StoreConflictError: there is no such account, it is disabled, or the token is not new.
        """
        time = now()
        values = {"token_hash": token_hash, "owner": user, "created": time, "expires": expires, "last_used": time}
        with recording(self._database) as connection:
            owner = enabled_user(connection, user)
            connection.execute(delete(SessionRow).where(SessionRow.expires <= time))
            statement = insert(SessionRow).values(**values).returning(SessionRow.id)
            session = connection.execute(statement).scalar_one()
            said = {"user": user, "did": "begun", "sessions": [session], "expires": expires}
            append_event(connection, KIND, said, principal=user)
        return Session(session, owner, time, expires, time)

    def find(self, token_hash: str) -> Session | None:
        """Whose token it is; None: nobody's any more. One look at two indexes, for every request of the service."""
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"token_hash": token_hash}).one_or_none()
        if row is None:
            return None
        session = Session(row.id, joined_user(row), row.created, row.expires, row.last_used)
        return session if session.user.enabled and now() < session.expires else None

    def touch(self, session: Session) -> None:
        """It is used; written down once a minute at most, and no event."""
        touch(self._database, SessionRow, session.id, session.last_used)

    def end(self, session: int) -> None:
        """End one; nothing where it has ended."""
        with recording(self._database) as connection:
            query = select(SessionRow.owner).where(SessionRow.id == session)
            user = connection.execute(query).scalar_one_or_none()
            if user is not None:
                _end(connection, user, [session])

    def end_all(self, user: str, keep: int | None = None) -> None:
        """End those of an account, but for one."""
        with recording(self._database) as connection:
            query = select(SessionRow.id).where(SessionRow.owner == user).order_by(SessionRow.id)
            ended = [session for session in connection.execute(query).scalars() if session != keep]
            if ended:
                _end(connection, user, ended)


def touch(
    database: Database, table: type[SessionRow] | type[KeyRow], credential: int, last_used: datetime | None
) -> None:
    """Write down that a credential is used, unless that was done within the last minute.

    On a full disk it is not written down: people have to be able to look, and to find out why.
    """
    time = now()
    if last_used is None or time - last_used >= TOUCH_EVERY:
        with suppress(StoreError), database.write() as connection:
            connection.execute(update(table).where(table.id == credential).values(last_used=time))


def _end(connection: Connection, user: str, sessions: list[int]) -> None:
    connection.execute(delete(SessionRow).where(SessionRow.id.in_(sessions)))
    append_event(connection, KIND, {"user": user, "did": "ended", "sessions": sessions}, principal=user)
