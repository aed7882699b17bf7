"""A login at the identity provider, from beginning to end."""

import secrets

from starlette.concurrency import run_in_threadpool

from beamctl.api.auth.oidc.accounts import account_of
from beamctl.api.auth.oidc.provider import Provider
from beamctl.api.auth.oidc.trip import Trip
from beamctl.api.options import OidcOptions
from beamctl.api.problem import ProblemError
from beamctl.store.open import Store
from beamctl.store.users import User


class OidcLogin:
    """Logins at one provider.

    Args:
        options: of the site.
        store: with the accounts.
    """

    def __init__(self, options: OidcOptions, store: Store) -> None:
        self._options = options
        self._store = store
        self._provider = Provider(options)
        self._secret = secrets.token_bytes(32)

    async def begin(self) -> tuple[Trip, str]:
        """A trip, and where it goes; errors as :meth:`Provider.login_url`."""
        trip = Trip.begin(self._secret)
        return trip, await self._provider.login_url(trip)

    async def finish(self, cookie: str, state: str, code: str, said: str) -> User:
        """The account of whoever has come back.

        Args:
            cookie: of the trip; empty: the browser has none.
            state, code, said: what the provider has sent along; ``said``: its error, if there is one.

        Raises:
            ProblemError: no trip of this browser, or the provider or we do not let them in.
        """
        trip = Trip(self._secret, cookie)
        if not cookie or not trip.is_answered_by(state):
            raise ProblemError("bad-request", "the login was begun elsewhere or too long ago: begin again")
        if said or not code:
            raise ProblemError("bad-credentials", f"the identity provider says: {said[:100] or 'nothing'}")
        claims = await self._provider.claims(trip, code)
        return await run_in_threadpool(account_of, self._store, self._options, claims)
