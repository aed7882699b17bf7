"""What the service does not do, as errors."""

from http import HTTPStatus

import httpx
from pydantic import ValidationError

from beamctl.api.schemas.problem import Problem
from beamctl.errors import ConflictError, NotAllowedError, NotLoggedInError, ServiceError, ServiceUnreachableError

_KINDS: dict[int, type[ServiceError]] = {
    HTTPStatus.UNAUTHORIZED: NotLoggedInError,
    HTTPStatus.FORBIDDEN: NotAllowedError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.PRECONDITION_FAILED: ConflictError,
    HTTPStatus.PRECONDITION_REQUIRED: ConflictError,
}
PASSING = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
FINAL = ("control-down",)
"""code of an answer that would be the same a second later, although its status says otherwise"""


def is_passing(answer: httpx.Response) -> bool:
    """Whether the same request may well be answered soon."""
    return answer.status_code in PASSING and _problem(answer).code not in FINAL


def problem_error(answer: httpx.Response) -> ServiceError:
    """An answer that says that something was not done."""
    problem = _problem(answer)
    kind = _KINDS.get(answer.status_code, ServiceError)
    faults = [f"{fault.where}: {fault.message}" for fault in problem.faults]
    return kind(f"{problem.title}: {problem.detail}", code=problem.code, status=answer.status_code, faults=faults)


def not_understood(answer: httpx.Response, why: str) -> ServiceError:
    """An answer that is not what it should be."""
    return ServiceError(
        f"{answer.request.method} {answer.request.url}: the answer is not one of a beamctl service that this client "
        f"knows ({why}); is the address right, and both of the same version?",
        code="not-understood",
        status=answer.status_code,
    )


def unreachable(url: str, error: httpx.RequestError | None, seconds: float) -> ServiceUnreachableError:
    """No answer at all."""
    why = "the stream ended" if error is None else str(error) or type(error).__name__
    return ServiceUnreachableError(
        f"no answer from {url} ({why}), tried for {seconds:.0f} s: is beamctl serve running, and the address right?",
        code="unreachable",
    )


def _problem(answer: httpx.Response) -> Problem:
    """As the service has put it, or what a proxy in front of it says."""
    try:
        return Problem.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        title = answer.reason_phrase or "no success"
        return Problem(
            type="about:blank", title=f"{answer.status_code} {title}", status=answer.status_code, code="http",
            detail=f"{answer.request.method} {answer.request.url}",
        )  # fmt: skip
