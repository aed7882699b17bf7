"""What a browser carries to the identity provider and back, so that nobody else's trip can be slipped in."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from fastapi import Response

COOKIE = "beamctl_oidc"
PATH = "/api/v1/session/oidc"
LASTS_S = 600


class Trip:
    """One login at the provider: state, nonce and PKCE verifier, each made from the cookie by a secret of ours.

    Args:
        secret: of this process; trips do not survive a restart.
        cookie: what the browser carries.
    """

    def __init__(self, secret: bytes, cookie: str) -> None:
        self._secret = secret
        self.cookie = cookie
        self.state = self._made("state")
        self.nonce = self._made("nonce")
        self.verifier = self._made("verifier")

    @classmethod
    def begin(cls, secret: bytes, clock: Callable[[], float] = time.time) -> "Trip":
        """A new one, for LASTS_S seconds."""
        return cls(secret, f"{secrets.token_urlsafe(32)}.{int(clock()) + LASTS_S}")

    def is_answered_by(self, state: str, clock: Callable[[], float] = time.time) -> bool:
        """Whether an answer of the provider belongs to it and is in time; a cookie that we did not make never is."""
        is_ours = hmac.compare_digest(self.state.encode(), state.encode("utf-8", "replace"))
        return is_ours and clock() < int(self.cookie.rpartition(".")[2])

    def set_cookie(self, response: Response, *, is_https: bool) -> None:
        """Give it to the browser; lax, because it has to come back from another site."""
        response.set_cookie(
            COOKIE, self.cookie, max_age=LASTS_S, path=PATH, secure=is_https, httponly=True, samesite="lax"
        )

    def _made(self, purpose: str) -> str:
        digest = hmac.digest(self._secret, f"{purpose} {self.cookie}".encode("utf-8", "replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
