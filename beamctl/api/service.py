"""What every route works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fastapi import Request

from beamctl.api.auth.authentication import Authentication
from beamctl.api.options import ServiceOptions
from beamctl.api.ports import Machines
from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.api.refusals import Refusals
from beamctl.store.open import Store

if TYPE_CHECKING:
    from beamctl.api.auth.oidc.login import OidcLogin

Identify = Callable[[Request], Principal | None]
"""who asks; None: nobody who is known. Called in a thread of its own, may look into the store"""


@dataclass
class Service:
    """The service: store, machines, options, and how people are recognised.

    Attributes:
        identify: how; None: by sessions, keys and proxies.
    """

    store: Store
    machines: Machines
    options: ServiceOptions = field(default_factory=ServiceOptions)
    identify: Identify | None = None

    @cached_property
    def authentication(self) -> Authentication:
        """Logins by password, sessions, keys."""
        return Authentication(self.store, self.options)

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

    @cached_property
    def refusals(self) -> Refusals:
        """Where it is written down who was refused what."""
        return Refusals(self.store.audit)

    def recognise(self, request: Request) -> Principal | None:
        """Who asks; looks into the store."""
        return (self.identify or self.authentication.identify)(request)

    def close(self) -> None:
        """End what works in the background; the store is its owner's to close."""
        self.authentication.close()


def service_of(request: Request) -> Service:
    """The service that a request belongs to."""
    found: Service = request.app.state.service
    return found
