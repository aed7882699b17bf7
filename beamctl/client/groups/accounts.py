"""People, API keys, and what was refused."""

from typing import Any
from urllib.parse import quote

from beamctl.api.schemas.accounts import Key, Keys, RoleName, User, Users
from beamctl.client.calls import ask, tell, told
from beamctl.client.versions import etag
from beamctl.client.work import Call, Group, W, Work


class UserCalls(Group[W]):
    """Accounts, for admins; the version of one is its ``ETag``."""

    @Call
    def list(self) -> Work[Users]:
        """All accounts."""
        return ask(self._access, "/users", Users)

    @Call
    def create(self, name: str, role: RoleName, password: str | None = None) -> Work[User]:
        """A new account; without a password it can log in by an identity provider only."""
        body = {"name": name, "role": role, "password": password}
        return told((yield from tell(self._access, "POST", "/users", body)), User)

    @Call
    def get(self, name: str) -> Work[User]:
        """One of them."""
        return ask(self._access, _user(name), User)

    @Call
    def version(self, name: str) -> Work[str]:
        """What :meth:`change` and :meth:`remove` can be bound to."""
        return etag(self._access, _user(name))

    @Call
    def change(
        self,
        name: str,
        *,
        role: RoleName | None = None,
        enabled: bool | None = None,
        password: str | None = None,
        version: str | None = None,
    ) -> Work[User]:
        """Change what is given; the present version unless one is given."""
        seen = version if version is not None else (yield from etag(self._access, _user(name)))
        body: dict[str, Any] = {"role": role, "enabled": enabled, "password": password}
        return told((yield from tell(self._access, "PATCH", _user(name), body, headers={"If-Match": seen})), User)

    @Call
    def remove(self, name: str, *, version: str | None = None) -> Work[None]:
        """Remove an account; the present version unless one is given."""
        seen = version if version is not None else (yield from etag(self._access, _user(name)))
        yield from tell(self._access, "DELETE", _user(name), headers={"If-Match": seen})


class KeyCalls(Group[W]):
    """API keys: one's own, or everybody's for an admin."""

    @Call
    def list(self) -> Work[Keys]:
        """All of them."""
        return ask(self._access, "/keys", Keys)

    @Call
    def create(self, label: str, scope: RoleName, *, days: int = 90) -> Work[Key]:
        """A new one; its ``secret`` is told this once."""
        body = {"label": label, "scope": scope, "days": days}
        return told((yield from tell(self._access, "POST", "/keys", body)), Key)

    @Call
    def revoke(self, key: int) -> Work[None]:
        """It opens nothing any more."""
        yield from tell(self._access, "DELETE", f"/keys/{key}")


def _user(name: str) -> str:
    return f"/users/{quote(name, safe='')}"
