"""Logging in and out, and who one is."""

from fastapi import Request, Response

from beamctl.api.access import PUBLIC, LoggedIn
from beamctl.api.auth.csrf import check_origin
from beamctl.api.auth.sessions import COOKIE, NewSession
from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.accounts import ChangePassword, LogIn, Session, SignInWays
from beamctl.api.service import Served, Service

router = resource("session")


@router.get("/api/v1/session/ways", dependencies=[PUBLIC])
async def get_sign_in_ways(service: Served) -> SignInWays:
    """How people can log in here."""
    demo, oidc = service.options.demo_user, service.options.oidc
    return SignInWays(
        password=True,
        oidc=oidc.label if oidc is not None else None,
        demo={"name": demo.name, "password": demo.password} if demo is not None else None,
    )


@router.post(
    "/api/v1/session", dependencies=[PUBLIC], status_code=201, responses={status: {} for status in (401, 403, 429)}
)
async def log_in(asked: LogIn, request: Request, response: Response, service: Served) -> Session:
    """Log in by name and password; a session that the browser had before is ended."""
    check_origin(request)
    authentication = service.authentication
    address = request.client.host if request.client else ""
    new = await authentication.log_in(asked.name, asked.password.get_secret_value(), address)
    if asked.carrier == "cookie":
        await authentication.end(request.cookies.get(COOKIE))
        authentication.sessions.set_cookie(response, new.token)
    return _begun(new, service, shown=asked.carrier == "bearer")


@router.get("/api/v1/session")
async def get_session(who: LoggedIn) -> Session:
    """Who one is."""
    return _told(who)


@router.delete("/api/v1/session", status_code=204)
def log_out(who: LoggedIn, response: Response, service: Served) -> None:
    """Log out: the session cannot be used any more, from anywhere."""
    _need_session(who, "log out")
    service.store.sessions.end(who.credential)
    service.authentication.sessions.delete_cookie(response)


@router.put("/api/v1/session/password", responses={429: {}})
async def change_password(asked: ChangePassword, who: LoggedIn, request: Request, service: Served) -> Session:
    """Change one's own password; every other session of the account is ended."""
    _need_session(who, "change the password")
    old, new = asked.old.get_secret_value(), asked.new.get_secret_value()
    if old == new:
        raise ProblemError("invalid", "the new password is the old one")
    address = request.client.host if request.client else ""
    await service.authentication.change_password(who, old, new, address)
    return _told(who, must_change=False)


def _need_session(who: Principal, what: str) -> None:
    if who.via != "session":
        raise ProblemError("conflict", f"to {what} takes a session; this is a {who.via}")


def _begun(new: NewSession, service: Service, *, shown: bool) -> Session:
    user = new.session.user
    return Session(
        name=user.name,
        role=user.role,
        via="session",
        expires=service.authentication.sessions.ends(new.session),
        must_change_password=user.must_change,
        token=new.token if shown else None,
    )


def _told(who: Principal, *, must_change: bool | None = None) -> Session:
    must = who.must_change_password if must_change is None else must_change
    return Session(name=who.name, role=who.role, via=who.via, expires=who.expires, must_change_password=must)
