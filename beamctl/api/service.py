"""What every route works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from beamctl.api.control_watch import ControlWatch
from beamctl.api.figures import FiguresBook
from beamctl.api.live_book import LiveBook
from beamctl.api.metrics import Metrics
from beamctl.api.ports import Machines
from beamctl.api.principal import Principal
from beamctl.api.stream.hub import Hub
from beamctl.api.stream.watcher import Watcher
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
    """The service: store, machines, options, how people are recognised, and what is remembered for all of them.

    Attributes:
        live: what the machines read.
        control: whether a control process is there.
        figures: of runs.
        hub, watcher: who listens to events, and who finds them.
    """

    store: Store
    machines: Machines
    options: ServiceOptions = field(default_factory=ServiceOptions)
    identify: Identify = nobody
    live: LiveBook = field(init=False)
    control: ControlWatch = field(init=False)
    figures: FiguresBook = field(init=False)
    hub: Hub = field(init=False)
    watcher: Watcher = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.live = LiveBook(self.store)
        self.control = ControlWatch(self.store, self.live)
        self.figures = FiguresBook(self.store)
        self.hub = Hub()
        self.watcher = Watcher(self.store, self.live, self.control, self.hub)
        self.metrics = Metrics(self.store, self.live, self.control, self.hub)


def service_of(request: Request) -> Service:
    """The service that a request belongs to."""
    found: Service = request.app.state.service
    return found


async def _service(request: Request) -> Service:
    return service_of(request)


Served = Annotated[Service, Depends(_service)]
"""the service, for routes"""
