"""How the first person gets in, and how somebody gets in again."""

from beamctl.api.auth.passwords import Passwords, random_password
from beamctl.api.options import DemoUser
from beamctl.store.events import SERVICE
from beamctl.store.open import Store
from beamctl.store.states import Role

ADMIN = "admin"
DEMO = "demo"


def first_admin(store: Store, passwords: Passwords) -> str | None:
    """Make the account ``admin`` where there is no account at all.

    Returns:
        its password, to be shown once and changed at the first login; None where there are accounts.
    """
    return reset_admin(store, passwords) if store.users.count() == 0 else None


def reset_admin(store: Store, passwords: Passwords) -> str:
    """Give ``admin`` a new password and all rights again, and end its sessions; makes it where it is missing.

    Returns:
        its password, to be shown once and changed at the first login.
    """
    password = random_password()
    _set(store, ADMIN, Role.ADMIN, passwords.hash_now(password), must_change=True)
    return password


def open_demo(store: Store, passwords: Passwords) -> DemoUser:
    """Give the account ``demo`` a new password and let it in, as operator."""
    password = random_password()
    _set(store, DEMO, Role.OPERATOR, passwords.hash_now(password), must_change=False)
    return DemoUser(DEMO, password)


def close_demo(store: Store) -> None:
    """Let the account ``demo`` of an earlier demonstration in no more, nor its sessions and keys."""
    found = store.users.find(DEMO)
    if found is not None and found.enabled:
        store.users.change(DEMO, enabled=False, principal=SERVICE)
        store.sessions.end_all(DEMO, keep=None)


def _set(store: Store, name: str, role: Role, hashed: str, *, must_change: bool) -> None:
    if store.users.find(name) is None:
        store.users.create(name, role, hashed, must_change=must_change, principal=SERVICE)
        return
    store.users.change(
        name, role=role, enabled=True, password_hash=hashed, must_change=must_change, principal=SERVICE
    )  # fmt: skip
    store.sessions.end_all(name, keep=None)
