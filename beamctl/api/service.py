"""What every route works with."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from beamctl.api.auth.authentication import Authentication
from beamctl.api.control_watch import ControlWatch
from beamctl.api.figures import FiguresBook
from beamctl.api.live_book import LiveBook
from beamctl.api.metrics import Metrics
from beamctl.api.options import ServiceOptions
from beamctl.api.ports import Machines
from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.api.refusals import Refusals
from beamctl.api.stream.hub import Hub
from beamctl.api.stream.watcher import Watcher
from beamctl.store.open import Store

if TYPE_CHECKING:
    from beamctl.api.auth.oidc.login import OidcLogin

Identify = Callable[[Request], Principal | None]
"""who asks; None: nobody who is known. Called in a thread of its own, may look into the store"""


class Service:
    """The service: store, machines, options, how people are recognised, and what is remembered for all of them.

    Args:
        store: where everything is.
        machines: what can be tuned.
        options: what the site decides.
        identify: how people are recognised; None: by sessions, keys, and a proxy that is believed.

    Attributes:
        authentication: logins by password.
        refusals: where it is written down who was refused what.
        live: what the machines read.
        control: whether a control process is there.
        figures: of runs.
        hub, watcher: who listens to events, and who finds them.
        metrics: for Prometheus.
    """

    def __init__(
        self,
        store: Store,
        machines: Machines,
        options: ServiceOptions | None = None,
        identify: Identify | None = None,
    ) -> None:
        self.store = store
        self.machines = machines
        self.options = options or ServiceOptions()
        self.authentication = Authentication(store, self.options)
        self.identify: Identify = identify or self.authentication.identify
        self.refusals = Refusals(store.audit)
        self.live = LiveBook(store)
        self.control = ControlWatch(store, self.live)
        self.figures = FiguresBook(store)
        self.hub = Hub()
        self.watcher = Watcher(store, self.live, self.control, self.hub)
        self.metrics = Metrics(store, self.live, self.control, self.hub)

    @cached_property
    def budgets(self) -> dict[str, int]:
        """Steps by task, for runs that ask for nothing else; does not change while the service runs."""
        return {name: task.max_steps for name, task in self.machines.tasks.items()}

    @cached_property
    def targets(self) -> dict[str, float]:
        """The same of the goals, mm or transmission."""
        return {name: task.target for name, task in self.machines.tasks.items()}

    @cached_property
    def oidc(self) -> "OidcLogin | None":
        """Logins at an identity provider; None: there is none.

        Raises:
            ProblemError: the extra ``oidc`` is not installed.
        """
        if self.options.oidc is None:
            return None
        try:
            from beamctl.api.auth.oidc.login import OidcLogin
        except ModuleNotFoundError as error:
            detail = f"{error.name} is missing: pip install 'beamctl[oidc]'"
            raise ProblemError("missing-extra", detail) from error
        return OidcLogin(self.options.oidc, self.store)

    def start(self) -> None:
        """Begin to watch the store; in the event loop of whoever listens."""
        self.watcher.start()

    def end_streams(self) -> None:
        """Send everybody away who listens, for they would never go; from any thread."""
        self.watcher.close_streams()

    def stop(self) -> None:
        """End what :meth:`start` has begun, and what checks passwords; the store is its owner's to close."""
        self.end_streams()
        self.watcher.stop()
        self.authentication.close()


def service_of(request: Request) -> Service:
    """The service that a request belongs to."""
    found: Service = request.app.state.service
    return found


async def _service(request: Request) -> Service:
    return service_of(request)


Served = Annotated[Service, Depends(_service)]
"""the service, for routes"""
