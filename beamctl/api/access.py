"""Who asks, and whether they may: the dependency that every route has exactly one of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Request

from beamctl.api.problem import ProblemError
from beamctl.api.service import Service, service_of
from beamctl.store.states import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        name: of the account; what is written down.
        role: what they may do now: of the account, or less where a key says so.
        via: how they were recognised.
        expires: when that ends.
        must_change_password: nothing else before.
        credential: number of the session or key; to be able to end it.
    """

    name: str
    role: Role
    via: Literal["session", "key", "proxy"]
    expires: datetime | None = None
    must_change_password: bool = False
    credential: int = 0


def principal_of(request: Request, service: Annotated[Service, Depends(service_of)]) -> Principal:
    """Whoever asks.

    Raises:
        ProblemError: nobody who is known, or a session that has ended.
    """
    found = service.identify(request)
    if found is None:
        raise ProblemError("not-logged-in", "log in at /api/v1/session, or send an API key as: Authorization: Bearer KEY")
    return found


def at_least(role: Role) -> Callable[..., Principal]:
    """A dependency that lets through whoever has this role or a higher one."""

    def check(principal: Annotated[Principal, Depends(principal_of)]) -> Principal:
        if principal.must_change_password:
            raise ProblemError("must-change-password", "the password was set by somebody else: PUT /api/v1/session/password")
        if not principal.role.covers(role):
            raise ProblemError("not-allowed", f"{principal.name} is {principal.role}; this needs {role}")
        return principal

    return check


Viewer = Annotated[Principal, Depends(at_least(Role.VIEWER))]
Operator = Annotated[Principal, Depends(at_least(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(at_least(Role.ADMIN))]
