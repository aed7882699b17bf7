"""People, programs and their credentials."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StrictBool, StringConstraints

from beamctl.api.schemas.base import AccountName, Asked, Identifier, Line, Told
from beamctl.store.states import Role

Password = Annotated[SecretStr, Field(min_length=10, max_length=200)]
RoleName = Literal["viewer", "operator", "admin"]
Days = Annotated[int, Field(strict=True, ge=1, le=3650)]


class LogIn(Asked):
    """Name and password for a session.

    Attributes:
        carrier: ``cookie`` for browsers (the token is in an HttpOnly cookie only), ``bearer`` for programs (it is in
            the answer only).
    """

    name: AccountName
    password: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    carrier: Literal["cookie", "bearer"] = "cookie"


class Session(Told):
    """Who one is.

    Attributes:
        name: of the account.
        role: what it may do now: that of the account, or less where an API key says so.
        via: how one was recognised.
        expires: when that ends; null: never by itself.
        must_change_password: nothing else can be done before.
        token: once, right after a login as ``bearer``.
    """

    name: str
    role: Role
    via: Literal["session", "key", "proxy"]
    expires: datetime | None
    must_change_password: bool = False
    token: str | None = None


class SignInWays(Told):
    """How people can log in here, for the login page.

    Attributes:
        password: local accounts.
        oidc: label of the identity provider's button; null where there is none.
        demo: that the demonstration account is on (loopback only), with its name and password.
    """

    password: bool
    oidc: str | None
    demo: dict[str, str] | None


class ChangePassword(Asked):
    """A new password for oneself; ends every other session of the account."""

    old: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    new: Password


class NewUser(Asked):
    """An account; without a password one can log in by OIDC or proxy only."""

    name: AccountName
    role: RoleName
    password: Password | None = None


class ChangeUser(Asked):
    """What is null stays as it is; a new password has to be changed at the next login."""

    role: RoleName | None = None
    enabled: StrictBool | None = None
    password: Password | None = None


class User(Told):
    """An account.

    Attributes:
        has_password: it can log in by password; without, by OIDC or proxy only.
        must_change_password: nothing else can be done before.
        version: counts its changes; the ETag.
    """

    name: str
    role: Role
    enabled: bool
    has_password: bool
    must_change_password: bool
    created: datetime
    last_login: datetime | None
    version: int


class Users(Told):
    """All accounts."""

    users: list[User]


class NewKey(Asked):
    """An API key for a program, at most as mighty as who makes it.

    Attributes:
        label: what it is for.
        scope: role of whoever shows it, at most the owner's.
        days: how long it lives.
    """

    label: Annotated[Line, StringConstraints(min_length=1, max_length=100)]
    scope: RoleName
    days: Days = 90


class Key(Told):
    """An API key; the secret itself is shown once, when it is made.

    Attributes:
        prefix: first characters, to recognise it.
        secret: only in the answer that makes it.
    """

    id: Identifier
    owner: str
    label: str
    scope: Role
    prefix: str
    created: datetime
    expires: datetime
    last_used: datetime | None
    revoked: bool
    secret: str | None = None


class Keys(Told):
    """API keys: one's own, or everybody's for an admin."""

    keys: list[Key]
