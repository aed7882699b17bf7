"""Logging in at an identity provider."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from beamctl.api.access import PUBLIC
from beamctl.api.auth.oidc.trip import COOKIE, PATH
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.service import Served, Service

if TYPE_CHECKING:
    from beamctl.api.auth.oidc.login import OidcLogin

router = resource("session")
Text = Annotated[str, Query(max_length=4000)]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    302: {"description": "On to the next page"},
    401: {},
    403: {},
    404: {},
    501: {},
}


@router.get(PATH, dependencies=[PUBLIC], status_code=302, response_class=RedirectResponse, responses=_ANSWERS)
async def begin_oidc(service: Served) -> RedirectResponse:
    """Go to the identity provider to log in."""
    trip, url = await _login(service).begin()
    answer = RedirectResponse(url, 302)
    trip.set_cookie(answer, is_https=service.options.is_https)
    return answer


@router.get(
    f"{PATH}/callback", dependencies=[PUBLIC], status_code=302, response_class=RedirectResponse, responses=_ANSWERS
)
async def finish_oidc(
    request: Request, service: Served, state: Text = "", code: Text = "", error: Text = ""
) -> RedirectResponse:
    """Come back from the identity provider, logged in; an account is made at the first login."""
    user = await _login(service).finish(request.cookies.get(COOKIE, ""), state, code, error)
    sessions = service.authentication.sessions
    new = await run_in_threadpool(sessions.begin, user.name)
    answer = RedirectResponse("/", 302)
    sessions.set_cookie(answer, new.token)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


def _login(service: Service) -> "OidcLogin":
    if service.oidc is None:
        raise ProblemError("not-configured", "no identity provider is set up here")
    return service.oidc
