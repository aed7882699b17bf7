"""Logins: how they begin, and when they end by themselves."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response

from beamctl.api.auth.tokens import SESSION, new_token, token_hash
from beamctl.api.options import ServiceOptions
from beamctl.store.events import now
from beamctl.store.open import Store
from beamctl.store.sessions import Session

COOKIE = "beamctl_session"


@dataclass(frozen=True)
class NewSession:
    """A login that has just begun.

    Attributes:
        token: what shows it; known to nobody but who gets it.
    """

    token: str
    session: Session


class SessionPolicy:
    """Begins sessions and says which of them are alive.

    Args:
        store: where they are kept.
        options: how long they last, and whether browsers come by https.
    """

    def __init__(self, store: Store, options: ServiceOptions) -> None:
        self._store = store
        self._lasts = timedelta(hours=options.session_hours)
        self._is_https = options.is_https

    def begin(self, name: str) -> NewSession:
        """A new session, with a token that was never used before."""
        token = new_token(SESSION)
        session = self._store.sessions.create(token_hash(token), name, now() + self._lasts)
        self._store.users.logged_in(name)
        return NewSession(token, session)

    def find(self, token: str) -> Session | None:
        """The session that a token shows, if it is alive and its account enabled."""
        session = self._store.sessions.find(token_hash(token))
        if session is None or not session.user.enabled or self._is_over(session, now()):
            return None
        self._store.sessions.touch(session)
        return session

    def ends(self, session: Session) -> datetime:
        """When it ends if nobody uses it any more."""
        return min(session.expires, session.last_used + self._lasts / 4)

    def set_cookie(self, response: Response, token: str) -> None:
        """Give a browser its session."""
        seconds = int(self._lasts.total_seconds())
        response.set_cookie(
            COOKIE, token, max_age=seconds, path="/", secure=self._is_https, httponly=True, samesite="strict"
        )

    def delete_cookie(self, response: Response) -> None:
        """Take it away."""
        response.delete_cookie(COOKIE, path="/", secure=self._is_https, httponly=True, samesite="strict")

    def _is_over(self, session: Session, time: datetime) -> bool:
        return time >= self.ends(session)
