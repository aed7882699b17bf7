"""Accounts; for admins."""

from typing import Annotated

from fastapi import Path, Response

from beamctl.api.access import Admin
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.accounts import ChangeUser, NewUser, User, Users
from beamctl.api.schemas.base import AccountName
from beamctl.api.service import Served, Service
from beamctl.api.versions import IfMatch, check_version, etag
from beamctl.store.states import Role
from beamctl.store.users import User as Account

router = resource("users")
Name = Annotated[AccountName, Path(description="Name of the account.")]


@router.get("/api/v1/users")
def list_users(who: Admin, service: Served) -> Users:
    """All accounts."""
    return Users(users=[_told(account) for account in service.store.users.list()])


@router.post("/api/v1/users", status_code=201)
def create_user(asked: NewUser, who: Admin, response: Response, service: Served) -> User:
    """Make an account; its password has to be changed at the first login."""
    hashed = service.authentication.passwords.hash_now(asked.password.get_secret_value()) if asked.password else None
    account = service.store.users.create(
        asked.name, Role(asked.role), hashed, must_change=hashed is not None, principal=who.name
    )
    response.headers["Location"] = f"/api/v1/users/{account.name}"
    return _with_tag(account, response)


@router.get("/api/v1/users/{name}")
def get_user(name: Name, who: Admin, response: Response, service: Served) -> User:
    """One account, with its version as ETag."""
    return _with_tag(_found(service, name), response)


@router.patch("/api/v1/users/{name}")
def change_user(
    name: Name, asked: ChangeUser, who: Admin, response: Response, service: Served, if_match: IfMatch = None
) -> User:
    """Change role, password, or whether it is enabled; takes effect at once, also for its sessions and keys.

    A new password ends all its sessions, and has to be changed at the next login. The last enabled admin can neither
    be disabled nor get another role.
    """
    account = _found(service, name)
    check_version(if_match, account.version, f"account {name}")
    hashed = service.authentication.passwords.hash_now(asked.password.get_secret_value()) if asked.password else None
    account = service.store.users.change(
        name,
        role=Role(asked.role) if asked.role else None,
        enabled=asked.enabled,
        password_hash=hashed,
        must_change=True if hashed else None,
        principal=who.name,
        version=account.version,
    )
    if hashed is not None or asked.enabled is False:
        service.store.sessions.end_all(name, keep=None)
    return _with_tag(account, response)


@router.delete("/api/v1/users/{name}", status_code=204)
def remove_user(name: Name, who: Admin, service: Served, if_match: IfMatch = None) -> None:
    """Remove an account with its sessions and keys; what it did stays in the record. Never the last enabled admin."""
    account = _found(service, name)
    check_version(if_match, account.version, f"account {name}")
    service.store.users.remove(name, who.name, version=account.version)


def _found(service: Service, name: str) -> Account:
    account = service.store.users.find(name)
    if account is None:
        raise ProblemError("not-found", f"there is no account {name}")
    return account


def _with_tag(account: Account, response: Response) -> User:
    response.headers.update(etag(account.version))
    return _told(account)


def _told(account: Account) -> User:
    return User(
        name=account.name,
        role=account.role,
        enabled=account.enabled,
        has_password=account.password_hash is not None,
        must_change_password=account.must_change,
        created=account.created,
        last_login=account.last_login,
        version=account.version,
    )
