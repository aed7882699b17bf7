"""API keys: credentials of programs, at most as mighty as their owner. See :mod:`beamctl.store.sessions`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from beamctl.errors import StoreConflictError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now, recording
from beamctl.store.schema import KeyRow, UserRow
from beamctl.store.sessions import touch
from beamctl.store.states import Role
from beamctl.store.users import USER_COLUMNS, User, enabled_user, joined_user

KIND = "key"
"""of the events"""

_COLUMNS = [column for column in KeyRow.__table__.columns if column.name not in ("key_hash", "owner")]
_KEYS = select(*_COLUMNS, *USER_COLUMNS).join_from(KeyRow, UserRow, UserRow.name == KeyRow.owner)
_FIND = _KEYS.where(KeyRow.key_hash == bindparam("key_hash"))


@dataclass(frozen=True, slots=True)
class Key:
    """An API key.

    Attributes:
        user: owner, as the account is now.
        prefix: first characters of the key, to recognise it.
        label: what it is for.
        scope: role that it was made for.
        expires: it is not found from then on.
        last_used: to a minute; None: never.
    """

    id: int
    user: User
    prefix: str
    label: str
    scope: Role
    created: datetime
    expires: datetime
    last_used: datetime | None
    revoked: bool

    @property
    def owner(self) -> str:
        """Name of the account."""
        return self.user.name

    @property
    def role(self) -> Role:
        """What whoever shows it may do now: its scope, or what the owner has where that is less."""
        return self.scope if self.user.role.covers(self.scope) else self.user.role


class Keys:
    """The API keys of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, key_hash: str, prefix: str, owner: str, label: str, scope: Role, expires: datetime, principal: str
    ) -> Key:
        """Add one.

        Args:
            key_hash: SHA-256 of the key, hexadecimal; never the key itself.
            prefix: first characters of the key, to recognise it.
            owner: name of the account.
            label: what it is for.
            scope: at most the owner's role.
            expires: when it ends by itself.
            principal: who makes it.

        Raises:
            StoreConflictError: no such account, it is disabled, its role is too low, or the key is not new.
        """
        values = {"prefix": prefix, "owner": owner, "label": label, "scope": scope, "expires": expires}
        with recording(self._database) as connection:
            role = enabled_user(connection, owner).role
            if not role.covers(scope):
                raise StoreConflictError(f"user {owner} is {role}: a key cannot be {scope}")
            more = {"key_hash": key_hash, "created": now(), "last_used": None, "revoked": False}
            statement = insert(KeyRow).values(**values, **more).returning(KeyRow.id)
            key = connection.execute(statement).scalar_one()
            append_event(connection, KIND, {"key": key, "did": "created", **values}, principal=principal)
            return _get(connection, key)

    def find(self, key_hash: str) -> Key | None:
        """Whose key it is; None: nobody's, or one that has expired or was revoked, or of a disabled account."""
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"key_hash": key_hash}).one_or_none()
        if row is None:
            return None
        key = _key(row)
        return key if key.user.enabled and not key.revoked and now() < key.expires else None

    def touch(self, key: Key) -> None:
        """It is used; written down once a minute at most, and no event."""
        touch(self._database, KeyRow, key.id, key.last_used)

    def get(self, key: int) -> Key:
        """One of them.

        Raises:
            StoreConflictError: there is none.
        """
        with self._database.read() as connection:
            return _get(connection, key)

    def list(self, owner: str | None = None) -> list[Key]:
        """Those of an account, or all; the latest first, also expired and revoked ones."""
        query = _KEYS.order_by(KeyRow.id.desc())
        if owner is not None:
            query = query.where(KeyRow.owner == owner)
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, key: int, principal: str) -> Key:
        """It opens nothing from now on; nothing happens where it was revoked before.

        Raises:
            StoreConflictError: there is none.
        """
        with recording(self._database) as connection:
            found = _get(connection, key)
            if found.revoked:
                return found
            connection.execute(update(KeyRow).where(KeyRow.id == key).values(revoked=True))
            said = {"key": key, "did": "revoked", "owner": found.owner, "label": found.label}
            append_event(connection, KIND, said, principal=principal)
            return _get(connection, key)


def _get(connection: Connection, key: int) -> Key:
    row = connection.execute(_KEYS.where(KeyRow.id == key)).one_or_none()
    if row is None:
        raise StoreConflictError(f"there is no key {key}")
    return _key(row)


def _key(row: Row[Any]) -> Key:
    found = row._mapping
    return Key(user=joined_user(row), **{column.name: found[column] for column in _COLUMNS})
