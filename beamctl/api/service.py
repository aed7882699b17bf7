"""What every route works with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from beamctl.api.ports import Machines
from beamctl.api.principal import Principal
from beamctl.store.open import Store

Identify = Callable[[Request], Principal | None]
"""who asks; None: nobody who is known. Called in a thread of its own, may look into the store"""


def nobody(request: Request) -> None:
    """Knows nobody."""


@dataclass(frozen=True)
class ServiceOptions:
    """What the site decides.

    Attributes:
        hosts: names by which the service may be called (Host header), without port.
        session_hours: how long a login lasts; an idle one ends after a quarter of it.
        body_limit: largest body, bytes.
    """

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    session_hours: float = 12.0
    body_limit: int = 64 * 1024


@dataclass
class Service:
    """The service: store, machines, options, and how people are recognised."""

    store: Store
    machines: Machines
    options: ServiceOptions = field(default_factory=ServiceOptions)
    identify: Identify = nobody


def service_of(request: Request) -> Service:
    """The service that a request belongs to."""
    found: Service = request.app.state.service
    return found
