"""API keys, with which programs log in."""

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Response

from beamctl.api.access import Viewer
from beamctl.api.auth.tokens import KEY, SHOWN, new_token, token_hash
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.accounts import Key, Keys, NewKey
from beamctl.api.schemas.base import LARGEST_ID
from beamctl.api.service import Served
from beamctl.errors import StoreConflictError
from beamctl.store.events import now
from beamctl.store.keys import Key as StoredKey
from beamctl.store.states import Role

router = resource("keys")


@router.get("/api/v1/keys")
def list_keys(who: Viewer, service: Served) -> Keys:
    """One's own API keys; everybody's for an admin."""
    owner = None if who.role is Role.ADMIN else who.name
    return Keys(keys=[_told(key) for key in service.store.keys.list(owner)])


@router.post("/api/v1/keys", status_code=201)
def create_key(asked: NewKey, who: Viewer, response: Response, service: Served) -> Key:
    """Make an API key for oneself; the answer is the only one that holds the secret.

    Its role is at most one's own, and falls with it. A key cannot make keys: nobody who finds one can make it last.
    """
    scope = Role(asked.scope)
    if who.via == "key":
        raise ProblemError("not-allowed", "a key cannot make keys: log in with name and password")
    if not who.role.covers(scope):
        raise ProblemError("not-allowed", f"{who.name} is {who.role} and cannot make a key that is {scope}")
    secret = new_token(KEY)
    expires = now() + timedelta(days=asked.days)
    key = service.store.keys.create(
        token_hash(secret), secret[:SHOWN], who.name, asked.label, scope, expires, principal=who.name
    )
    response.headers["Location"] = f"/api/v1/keys/{key.id}"
    return _told(key, secret)


@router.delete("/api/v1/keys/{key}", status_code=204)
def revoke_key(key: Annotated[int, Path(ge=1, le=LARGEST_ID)], who: Viewer, service: Served) -> None:
    """Revoke one of one's own API keys, or anybody's as an admin; it is refused from now on."""
    try:
        found = service.store.keys.get(key)
    except StoreConflictError:
        found = None
    if found is None or (found.owner != who.name and who.role is not Role.ADMIN):
        raise ProblemError("not-found", f"there is no key {key}, or it is somebody else's")
    service.store.keys.revoke(key, who.name)


def _told(key: StoredKey, secret: str | None = None) -> Key:
    return Key(
        id=key.id,
        owner=key.owner,
        label=key.label,
        scope=key.scope,
        prefix=key.prefix,
        created=key.created,
        expires=key.expires,
        last_used=key.last_used,
        revoked=key.revoked,
        secret=secret,
    )
