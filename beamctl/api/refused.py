"""What somebody did not get is written down before they are told."""

import logging
from typing import NoReturn

from beamctl.api.problem import ProblemError
from beamctl.api.service import Service
from beamctl.errors import StoreError

_log = logging.getLogger("beamctl.api")


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
    try:
        service.store.audit.refused(principal, action, problem.detail, {"code": problem.code}, run)
    except StoreError as error:
        _log.error("a refusal could not be written down: %s: %s", problem.detail, error)
    raise problem
