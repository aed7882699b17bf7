"""What somebody did not get is written down before they are told."""

from typing import NoReturn

from beamctl.api.problem import ProblemError
from beamctl.api.service import Service


def refuse(service: Service, principal: str, action: str, problem: ProblemError, run: int | None = None) -> NoReturn:
    """Refuse something.

    Args:
        service: of the route.
        principal: who asked.
        action: for what.
        problem: what they are told.
        run: that it is about.

    Raises:
        ProblemError: always.
    """
    service.refusals.note(principal, action, problem.detail, run)
    raise problem
