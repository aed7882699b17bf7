"""From what a provider says to an account."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from beamctl.api.options import OidcOptions
from beamctl.api.problem import ProblemError
from beamctl.api.schemas.base import AccountName
from beamctl.errors import StoreConflictError
from beamctl.store.open import Store
from beamctl.store.states import Role
from beamctl.store.users import User

BY = "oidc"
"""who makes and changes such accounts, in the record"""
_NAME: TypeAdapter[str] = TypeAdapter(AccountName)


def account_of(store: Store, options: OidcOptions, claims: Mapping[str, Any]) -> User:
    """The account of whoever the provider has sent, made at the first login where a role is granted by a group.

    Where groups grant roles they do so at every login. An account with a password is never entered this way: whoever
    can choose a name at the provider would have it.

    Raises:
        ProblemError: no account, a disabled one, one with a password, no role, or no name that can be used.
    """
    name = _name(options, claims)
    role = _role(options, claims)
    user = store.users.find(name)
    if options.roles and role is None:
        raise ProblemError("not-allowed", f"{name} is in no group that has a role here")
    if user is None:
        if role is None:
            raise ProblemError("not-allowed", f"there is no account {name}: an admin has to make it")
        return store.users.create(name, role, None, principal=BY)
    if user.password_hash is not None:
        raise ProblemError("not-allowed", f"the account {name} has a password: log in with that")
    if not user.enabled:
        raise ProblemError("not-allowed", f"the account {name} is disabled")
    return user if role is None else _with_role(store, user, role)


def _with_role(store: Store, user: User, role: Role) -> User:
    try:
        return store.users.change(user.name, role=role, principal=BY)
    except StoreConflictError:  # the last admin
        return user


def _name(options: OidcOptions, claims: Mapping[str, Any]) -> str:
    try:
        return _NAME.validate_python(claims.get(options.name_claim))
    except ValidationError:
        detail = f"the claim {options.name_claim} is missing or holds no name that can be used here"
        raise ProblemError("not-allowed", detail) from None


def _role(options: OidcOptions, claims: Mapping[str, Any]) -> Role | None:
    """The highest one that a group grants."""
    groups = claims.get(options.groups_claim)
    if not isinstance(groups, list):
        groups = [groups]
    granted = {Role(options.roles[group]) for group in groups if isinstance(group, str) and group in options.roles}
    return next((role for role in reversed(Role) if role in granted), None)
