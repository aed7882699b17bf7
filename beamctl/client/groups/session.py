"""Logging in and out."""

from beamctl.api.schemas.accounts import Session, SignInWays
from beamctl.client.calls import ask, tell, told
from beamctl.client.work import Call, Group, W, Work


class SessionCalls(Group[W]):
    """Who one is."""

    @Call
    def ways(self) -> Work[SignInWays]:
        """How people can log in here; needs no login."""
        return ask(self._access, "/session/ways", SignInWays)

    @Call
    def log_in(self, name: str, password: str) -> Work[Session]:
        """Log in; this client is that account from now on, and ``token`` is what another client can take as its key.

        Raises:
            NotLoggedInError: name and password do not belong together.
        """
        self._access.credential = ""
        body = {"name": name, "password": password, "carrier": "bearer"}
        session = told((yield from tell(self._access, "POST", "/session", body)), Session)
        self._access.credential = session.token or ""
        return session

    @Call
    def get(self) -> Work[Session]:
        """Who one is now, and until when."""
        return ask(self._access, "/session", Session)

    @Call
    def log_out(self) -> Work[None]:
        """End the session; this client is nobody from now on."""
        yield from tell(self._access, "DELETE", "/session")
        self._access.credential = ""

    @Call
    def change_password(self, old: str, new: str) -> Work[Session]:
        """A new password for oneself; every other session of the account ends."""
        body = {"old": old, "new": new}
        return told((yield from tell(self._access, "PUT", "/session/password", body)), Session)
