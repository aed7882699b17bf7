"""One request and its answer, repeated where that is safe."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from beamctl.client.access import Access
from beamctl.client.problems import is_passing, not_understood, problem_error, unreachable
from beamctl.client.work import Outgoing, Pause, Send, Work

API = "/api/v1"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""the service cannot have got it"""

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)


def ask(access: Access, path: str, answer: type[A], **query: Any) -> Work[A]:
    """Read something."""
    got = yield from answered(access, Outgoing("GET", API + path, query), is_repeatable=True)
    return told(got, answer)


def tell(
    access: Access,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    is_repeatable: bool = False,
) -> Work[httpx.Response]:
    """Have something done.

    Args:
        access: where and who.
        method: of HTTP.
        path: behind ``/api/v1``.
        body: for JSON.
        headers: further ones.
        is_repeatable: doing it twice is the same as doing it once.
    """
    content = None if body is None else json.dumps(body).encode()
    request = Outgoing(method, API + path, headers=headers or {}, body=content)
    return answered(access, request, is_repeatable=is_repeatable)


def answered(
    access: Access,
    request: Outgoing,
    *,
    is_repeatable: bool,
    is_answer: Callable[[httpx.Response], bool] = lambda answer: answer.is_success,
) -> Work[httpx.Response]:
    """An answer that is a success.

    Raises:
        ServiceError: it is none.
    """
    sent = replace(request, headers=_headers(access, request))
    began, pause = time.monotonic(), FIRST_PAUSE_S
    while True:
        answer: httpx.Response | httpx.RequestError = yield Send(sent)
        passed = time.monotonic() - began
        is_late = passed + pause > access.patience_s
        if isinstance(answer, httpx.Response):
            if is_answer(answer):
                return answer
            if is_late or not (is_repeatable and is_passing(answer)):
                raise problem_error(answer)
        elif is_late or not (is_repeatable or isinstance(answer, NOT_SENT)):
            raise unreachable(access.url, answer, passed) from answer
        yield Pause(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def told(answer: httpx.Response, kind: type[A]) -> A:
    """The message in an answer; what a newer service adds to it is left out.

    Raises:
        ServiceError: it is not that message.
    """
    try:
        return kind.model_validate_json(answer.content, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise not_understood(answer, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _headers(access: Access, request: Outgoing) -> dict[str, str]:
    kind = {} if request.body is None else {"Content-Type": "application/json"}
    return {**access.headers(), **kind, **request.headers}
