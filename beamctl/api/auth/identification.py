"""Who asks: a session, an API key, or whom a believed proxy names."""

import re

from fastapi import Request

from beamctl.api.auth.csrf import check_same_site
from beamctl.api.auth.sessions import COOKIE, SessionPolicy
from beamctl.api.auth.tokens import KEY, SESSION, is_token, token_hash
from beamctl.api.middleware.forwarded import PEER
from beamctl.api.options import ProxyOptions
from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.store.events import now
from beamctl.store.open import Store

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


class Identification:
    """Finds out who asks; what is shown and is not right counts as nobody, never as somebody else.

    Args:
        store: accounts, sessions and keys.
        sessions: which of them are alive.
        proxy: that may name people.
    """

    def __init__(self, store: Store, sessions: SessionPolicy, proxy: ProxyOptions) -> None:
        self._store = store
        self._sessions = sessions
        self._proxy = proxy

    def __call__(self, request: Request) -> Principal | None:
        """Whoever asks; None: nobody who is known.

        Raises:
            ProblemError: a browser was made to ask by another site, or a name that only the proxy may give.
        """
        named = request.headers.getlist(self._proxy.user_header) if self._proxy.user_header else []
        if named:
            return self._by_proxy(request, named)
        shown = request.headers.getlist("authorization")
        if shown:
            return self._by_bearer(shown)
        token = request.cookies.get(COOKIE)
        if token is None:
            return None
        found = self._by_session(token)
        if found is not None:
            check_same_site(request)
        return found

    def _by_bearer(self, shown: list[str]) -> Principal | None:
        match = _BEARER.fullmatch(shown[0]) if len(shown) == 1 else None
        if match is None:
            return None
        token = match.group(1)
        return self._by_key(token) if token.startswith(KEY) else self._by_session(token)

    def _by_session(self, token: str) -> Principal | None:
        session = self._sessions.find(token) if is_token(token, SESSION) else None
        if session is None:
            return None
        user = session.user
        return Principal(
            user.name, user.role, "session", self._sessions.ends(session), user.must_change, session.id
        )  # fmt: skip

    def _by_key(self, token: str) -> Principal | None:
        key = self._store.keys.find(token_hash(token)) if is_token(token, KEY) else None
        if key is None or key.revoked or now() >= key.expires or not key.user.enabled:
            return None
        self._store.keys.touch(key)
        role = key.scope if key.user.role.covers(key.scope) else key.user.role
        return Principal(key.user.name, role, "key", key.expires, credential=key.id)

    def _by_proxy(self, request: Request, named: list[str]) -> Principal | None:
        if request.scope.get(PEER) not in self._proxy.addresses:
            raise ProblemError("not-allowed", f"{self._proxy.user_header} is accepted from the reverse proxy only")
        user = self._store.users.find(named[0]) if len(named) == 1 and named[0].isprintable() else None
        if user is None or not user.enabled:
            return None
        check_same_site(request)
        return Principal(user.name, user.role, "proxy")
