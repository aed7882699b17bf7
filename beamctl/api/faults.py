"""Everything that can go wrong in a request, as a problem."""

import logging
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from beamctl.api.answers import problem_response
from beamctl.api.problem import ProblemError
from beamctl.api.validation import field_faults
from beamctl.errors import (
    BeamControlError,
    MissingExtraError,
    SenselessRequestError,
    StoreBusyError,
    StoreConflictError,
    StoreDamagedError,
    StoreUnavailableError,
    StoreWriteError,
    UnknownNameError,
)

log = logging.getLogger("beamctl.api")

_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 406: "not-acceptable", 413: "too-large"}
_CODES: dict[type[BeamControlError], str] = {
    StoreConflictError: "conflict",
    StoreUnavailableError: "store-unavailable",
    StoreWriteError: "store-unavailable",
    StoreBusyError: "store-unavailable",
    StoreDamagedError: "store-unavailable",
    MissingExtraError: "missing-extra",
    SenselessRequestError: "invalid",
}


async def on_problem(request: Request, error: ProblemError) -> Response:
    """What a route has decided itself."""
    return problem_response(error)


async def on_invalid(request: Request, error: RequestValidationError) -> Response:
    """Fields that are wrong."""
    faults = field_faults(error.errors())
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults[:3])
    return problem_response(ProblemError("invalid", detail), faults)


async def on_http(request: Request, error: HTTPException) -> Response:
    """What the framework refuses."""
    if isinstance(error.__cause__, ProblemError):  # raised while the body was read
        return problem_response(error.__cause__)
    code = _STATUS.get(error.status_code, "bad-request")
    words = {
        "not-found": f"there is nothing at {request.url.path}",
        "method-not-allowed": f"{request.method} is not possible at {request.url.path}",
    }
    headers = {"Allow": _allowed(request)} if code == "method-not-allowed" else dict(error.headers or {})
    return problem_response(ProblemError(code, words.get(code, error.detail), headers))


def _allowed(request: Request) -> str:
    """Every method of a path; the framework tells only those of the first route that has it."""
    path = request.scope["path"]
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


async def on_ours(request: Request, error: BeamControlError) -> Response:
    """Errors of beamctl that no route has turned into something better."""
    if isinstance(error, UnknownNameError):
        is_in_path = error.name in request.path_params.values()
        return problem_response(ProblemError("not-found" if is_in_path else "invalid", str(error)))
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "conflict")
    if code == "missing-extra" and request.method != "GET":  # what was asked for cannot be had here
        code = "invalid"
    if code == "store-unavailable":
        log.error("%s %s: %s", request.method, request.url.path, error)
    return problem_response(ProblemError(code, str(error)))


HANDLERS: dict[Any, Any] = {
    ProblemError: on_problem,
    RequestValidationError: on_invalid,
    HTTPException: on_http,
    BeamControlError: on_ours,
}
