"""Who asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from beamctl.store.states import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        name: of the account; what is written down.
        role: what they may do now: of the account, or less where a key says so.
        via: how they were recognised.
        expires: when that ends.
        must_change_password: nothing else before.
        credential: number of the session or key; to be able to end it.
    """

    name: str
    role: Role
    via: Literal["session", "key", "proxy"]
    expires: datetime | None = None
    must_change_password: bool = False
    credential: int = 0
