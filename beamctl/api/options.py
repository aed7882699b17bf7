"""What the site decides about the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


@dataclass(frozen=True)
class DemoUser:
    """An account that the login page tells everybody, for a soft machine on loopback."""

    name: str
    password: str


@dataclass(frozen=True)
class Addresses:
    """Addresses that something is believed from.

    Args:
        networks: none: nobody.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, *texts: str) -> "Addresses":
        """From addresses or networks, for example ``127.0.0.1`` or ``10.1.0.0/16``.

        Raises:
            ValueError: one of them is neither.
        """
        return cls(tuple(ip_network(text.strip()) for text in texts))

    def __contains__(self, address: object) -> bool:
        try:
            found = ip_address(str(address))
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


@dataclass(frozen=True)
class ProxyOptions:
    """A reverse proxy in front of the service.

    Attributes:
        addresses: of the proxy; ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are believed from there only.
        user_header: header in which the proxy names who has logged in to it; empty: it does not.
    """

    addresses: Addresses = field(default_factory=Addresses)
    user_header: str = ""


@dataclass(frozen=True)
class OidcOptions:
    """An identity provider (OpenID Connect).

    Attributes:
        issuer: URL, exactly as the provider writes it into its tokens.
        client_id, client_secret: of this service at the provider.
        public_url: of this service as browsers see it, without a path.
        label: of the login button.
        name_claim, groups_claim: where the name of the account and the groups are in the ID token.
        roles: by group; empty: only accounts that an admin has made, with the role they have here.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    public_url: str
    label: str = "Log in at the laboratory"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to."""
        return f"{self.public_url.rstrip('/')}/api/v1/session/oidc/callback"


@dataclass(frozen=True)
class ServiceOptions:
    """What the site decides.

    Attributes:
        hosts: names by which the service may be called (Host header), without port.
        session_hours: how long a login lasts; an idle one ends after a quarter of it.
        body_limit: largest body, bytes.
        body_timeout_s: longest time that a body may take to arrive.
        is_https: browsers reach it by https, so cookies are sent by that only.
        proxy: a reverse proxy that is believed.
        oidc: an identity provider; None: none.
        demo_user: shown to everybody; None: there is none. Only where nothing but loopback is served.
    """

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    session_hours: float = 12.0
    body_limit: int = 64 * 1024
    body_timeout_s: float = 10.0
    is_https: bool = False
    proxy: ProxyOptions = field(default_factory=ProxyOptions)
    oidc: OidcOptions | None = None
    demo_user: DemoUser | None = None
