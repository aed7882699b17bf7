"""Everything about logging in, put together."""

from starlette.concurrency import run_in_threadpool

from beamctl.api.auth.identification import Identification
from beamctl.api.auth.passwords import Passwords
from beamctl.api.auth.sessions import NewSession, SessionPolicy
from beamctl.api.auth.throttle import Throttle
from beamctl.api.options import ServiceOptions
from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.store.open import Store
from beamctl.store.users import User

WRONG = "name and password do not belong together, or the account is disabled"


class Authentication:
    """Logins by password, and who is logged in.

    Args:
        store: accounts, sessions, keys.
        options: of the site.
    """

    def __init__(self, store: Store, options: ServiceOptions) -> None:
        self._store = store
        self.passwords = Passwords()
        self.sessions = SessionPolicy(store, options)
        self.identify = Identification(store, self.sessions, options.proxy)
        self._throttle = Throttle()

    async def log_in(self, name: str, password: str, address: str) -> NewSession:
        """Begin a session.

        Args:
            name, password: as they were given.
            address: where from.

        Raises:
            ProblemError: they do not belong together, or it is too soon after others that did not.
        """
        await self.check_password(name, password, address)
        return await run_in_threadpool(self.sessions.begin, name)

    async def check_password(self, name: str, password: str, address: str) -> User:
        """The enabled account that a name and a password belong to; errors as :meth:`log_in`."""
        self._throttle.begin(name, address)
        user = await run_in_threadpool(self._store.users.find, name)
        known = user.password_hash if user is not None and user.enabled else None
        is_right = await self.passwords.verify(known, password)
        if user is None or not is_right:
            await run_in_threadpool(self._refused, name if user is not None else "(unknown)", address)
            raise ProblemError("bad-credentials", WRONG, {"WWW-Authenticate": "Bearer"})
        self._throttle.succeeded(name, address)
        if known is not None and self.passwords.is_outdated(known):
            await self.set_password(name, password, by=name, must_change=user.must_change)
        return user

    async def set_password(self, name: str, password: str, *, by: str, must_change: bool = False) -> User:
        """Give an account another password.

        Args:
            name: of the account.
            password: the new one.
            by: who does it.
            must_change: it has to be changed before anything else is done.
        """
        hashed = await self.passwords.hash(password)
        change = self._store.users.change
        return await run_in_threadpool(change, name, password_hash=hashed, must_change=must_change, principal=by)

    async def change_password(self, who: Principal, old: str, new: str, address: str) -> None:
        """Change one's own password and end every other session of the account.

        Raises:
            ProblemError: the old one is wrong, or it is too soon after others that were.
        """
        await self.check_password(who.name, old, address)
        await self.set_password(who.name, new, by=who.name)
        await run_in_threadpool(self._store.sessions.end_all, who.name, keep=who.credential)

    async def end(self, token: str | None) -> None:
        """End the session that a token shows, if it shows one."""
        session = await run_in_threadpool(self.sessions.find, token) if token else None
        if session is not None:
            await run_in_threadpool(self._store.sessions.end, session.id)

    def close(self) -> None:
        """End the threads; safe to call twice."""
        self.passwords.close()

    def _refused(self, name: str, address: str) -> None:
        """Names that nobody has are not written down: they may be passwords, typed into the wrong field."""
        self._store.audit.refused(name, "log in", "wrong password or disabled", {"address": address})
