"""Whether somebody may: every route names exactly one of the gates at the end of this module."""

from typing import Annotated

from fastapi import Depends, Request

from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.store.states import Role


class Gate:
    """Lets through whoever has a role, or a higher one.

    Args:
        role: needed at least; None: everybody, also without login.
        before_password: also who has to change the password first.
    """

    def __init__(self, role: Role | None, *, before_password: bool = False) -> None:
        self.role = role
        self._before_password = before_password

    async def __call__(self, request: Request) -> Principal | None:
        """Whoever asks; :class:`beamctl.api.routing.GatedRoute` has checked them before it read the body."""
        principal: Principal | None = request.state.principal
        return principal

    def check(self, principal: Principal | None) -> None:
        """Whether somebody may pass.

        Raises:
            ProblemError: nobody who is known, not before the password is changed, or a role that is too low.
        """
        if self.role is None:
            return
        if principal is None:
            raise ProblemError(
                "not-logged-in",
                "log in at /api/v1/session, or send an API key as: Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        if principal.must_change_password and not self._before_password:
            raise ProblemError(
                "must-change-password", "the password was set by somebody else: PUT /api/v1/session/password"
            )
        if not principal.role.covers(self.role):
            raise ProblemError("not-allowed", f"{principal.name} is {principal.role}; this needs {self.role}")


PUBLIC = Depends(Gate(None))
"""for the ``dependencies`` of a route that needs no login"""
LoggedIn = Annotated[Principal, Depends(Gate(Role.VIEWER, before_password=True))]
"""for what belongs to a login itself; everything else needs one of those below"""
Viewer = Annotated[Principal, Depends(Gate(Role.VIEWER))]
Operator = Annotated[Principal, Depends(Gate(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(Gate(Role.ADMIN))]
