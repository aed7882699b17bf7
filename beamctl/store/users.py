"""Who may log in, and what they may do. Every change is an event, never with a password in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from beamctl.errors import StaleVersionError, StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now, recording
from beamctl.store.schema import KeyRow, SessionRow, UserRow
from beamctl.store.states import Role

KIND = "user"
"""of the events"""


@dataclass(frozen=True, slots=True)
class User:
    """An account.

    Attributes:
        password_hash: None where one cannot log in by password.
        must_change: the password was set by somebody else.
        created, last_login: wall clock, for people.
        version: counts the changes from 1; a login is none.
    """

    name: str
    role: Role
    enabled: bool
    password_hash: str | None = field(repr=False)
    must_change: bool
    created: datetime
    last_login: datetime | None
    version: int


class Users:
    """The accounts of a store; there is always an admin who can log in, once there was one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, name: str, role: Role, password_hash: str | None, *, must_change: bool = False, principal: str
    ) -> User:
        """Add an account, enabled.

        Args:
            name: unique; it is what the record says from now on.
            role: what it may do.
            password_hash: never the password itself.
            must_change: the password has to be changed at the first login.
            principal: who adds it.

        Raises:
            StoreConflictError: there is one of this name.
        """
        user = User(name, role, True, password_hash, must_change, now(), None, 1)
        with recording(self._database) as connection:
            if _find(connection, name) is not None:
                raise StoreConflictError(f"there is a user {name} already")
            connection.execute(insert(UserRow).values(**{column: getattr(user, column) for column in User.__slots__}))
            has_password = password_hash is not None
            said = {"role": role.value, "has_password": has_password, "must_change": must_change}
            append_event(connection, KIND, {"user": name, "did": "created", **said}, principal=principal)
        return user

    def find(self, name: str) -> User | None:
        """One of them, or None."""
        with self._database.read() as connection:
            return _find(connection, name)

    def get(self, name: str) -> User:
        """One of them.

        Raises:
            StoreConflictError: there is none.
        """
        with self._database.read() as connection:
            return get_user(connection, name)

    def list(self) -> list[User]:
        """All of them, by name."""
        with self._database.read() as connection:
            return [User(**row._mapping) for row in connection.execute(select(UserRow).order_by(UserRow.name))]

    def count(self) -> int:
        """How many there are; 0 before anybody can log in."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(UserRow)).scalar_one()

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        enabled: bool | None = None,
        password_hash: str | None = None,
        must_change: bool | None = None,
        principal: str,
        version: int | None = None,
    ) -> User:
        """Change what is not None; disabling ends all sessions.

        Args:
            name: of the account.
            role, enabled, password_hash, must_change: new values.
            principal: who changes it.
            version: that was looked at; None: whatever it is.

        Raises:
            StaleVersionError: it has another version by now.
            StoreConflictError: there is none, or nobody could administer accounts any more.
        """
        asked = {"role": role, "enabled": enabled, "password_hash": password_hash, "must_change": must_change}
        with recording(self._database) as connection:
            before = _seen(connection, name, version)
            values = {key: new for key, new in asked.items() if new is not None and new != getattr(before, key)}
            if not values:
                return before
            if enabled is False or (role is not None and role is not Role.ADMIN):
                _check_admins(connection, before)
            changed = update(UserRow).where(UserRow.name == name).values(**values, version=before.version + 1)
            connection.execute(changed)
            if values.get("enabled") is False:
                connection.execute(delete(SessionRow).where(SessionRow.owner == name))
            said = _told(values)
            append_event(connection, KIND, {"user": name, "did": "changed", **said}, principal=principal)
            return get_user(connection, name)

    def remove(self, name: str, principal: str, version: int | None = None) -> None:
        """Remove an account with its sessions and keys; errors as :meth:`change`."""
        with recording(self._database) as connection:
            user = _seen(connection, name, version)
            _check_admins(connection, user)
            connection.execute(delete(SessionRow).where(SessionRow.owner == name))
            keys = connection.execute(delete(KeyRow).where(KeyRow.owner == name).returning(KeyRow.id)).scalars().all()
            connection.execute(delete(UserRow).where(UserRow.name == name))
            said = {"user": name, "did": "removed", "role": user.role.value, "keys": sorted(keys)}
            append_event(connection, KIND, said, principal=principal)

    def logged_in(self, name: str) -> None:
        """Somebody has logged in, by whatever means.

        Raises:
            StoreConflictError: there is no such account.
        """
        with recording(self._database) as connection:
            get_user(connection, name)
            connection.execute(update(UserRow).where(UserRow.name == name).values(last_login=now()))
            append_event(connection, KIND, {"user": name, "did": "logged in"}, principal=name)


USER_COLUMNS = [column.label(f"user_{column.name}") for column in UserRow.__table__.columns]
"""for a query that joins the owner of a credential"""


def joined_user(row: Row[Any]) -> User:
    """The owner, from a row with USER_COLUMNS."""
    return User(**{name: row._mapping[f"user_{name}"] for name in User.__slots__})


def get_user(connection: Connection, name: str) -> User:
    """An account, within a transaction; errors as :meth:`Users.get`."""
    found = _find(connection, name)
    if found is None:
        raise StoreConflictError(f"there is no user {name}")
    return found


def enabled_user(connection: Connection, name: str) -> User:
    """As :func:`get_user`, for one that can log in."""
    user = get_user(connection, name)
    if not user.enabled:
        raise StoreConflictError(f"user {name} is disabled")
    return user


def _find(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(UserRow).where(UserRow.name == name)).one_or_none()
    return None if row is None else User(**row._mapping)


def _seen(connection: Connection, name: str, version: int | None) -> User:
    """The account, if it is as it was when somebody looked at it."""
    user = get_user(connection, name)
    if version is not None and version != user.version:
        raise StaleVersionError(f"user {name}", version, user.version)
    return user


def _check_admins(connection: Connection, leaving: User) -> None:
    """See that somebody else can administer accounts; whoever calls it has the only writing transaction."""
    if not leaving.enabled or leaving.role is not Role.ADMIN:
        return
    others = select(UserRow.name).where(UserRow.role == Role.ADMIN, UserRow.enabled, UserRow.name != leaving.name)
    if connection.execute(others.limit(1)).first() is None:
        raise StoreConflictError(f"{leaving.name} is the last enabled admin: make somebody else admin first")


def _told(values: Mapping[str, object]) -> dict[str, object]:
    """Changes, as an event tells them."""
    said = {key: value for key, value in values.items() if key != "password_hash"}
    return said | ({"password": "changed"} if "password_hash" in values else {})
