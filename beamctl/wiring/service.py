"""The service from the settings of a deployment."""

import ipaddress
import socket
from urllib.parse import urlsplit

from beamctl.api.options import Addresses, OidcOptions, ProxyOptions, ServiceOptions
from beamctl.api.server import Binding
from beamctl.errors import ServingError
from beamctl.settings import Settings

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
ANY = ("0.0.0.0", "::")  # noqa: S104


def binding(settings: Settings) -> Binding:
    """Where the service listens, and how it speaks.

    Raises:
        ServingError: other hosts could listen in on passwords, or half of a certificate.
    """
    certificate, key = settings.http_certificate, settings.http_key
    if (certificate is None) != (key is None):
        raise ServingError("TLS needs both: BEAMCTL_HTTP_CERTIFICATE and BEAMCTL_HTTP_KEY")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise ServingError(f"TLS: there is no file {file}")
    if not is_loopback(settings.http_interface) and certificate is None and not settings.http_proxy:
        raise ServingError(
            f"at {settings.http_interface} other hosts could read passwords on the way: give the service a certificate "
            "(BEAMCTL_HTTP_CERTIFICATE, BEAMCTL_HTTP_KEY), or let a reverse proxy speak TLS and say --behind-proxy"
        )
    return Binding(settings.http_interface, settings.http_port, certificate, key)


def service_options(settings: Settings) -> ServiceOptions:
    """What the site decides.

    Raises:
        ServingError: settings that do not go together.
    """
    return ServiceOptions(
        hosts=_hosts(settings),
        session_hours=settings.session_hours,
        is_https=settings.http_certificate is not None or settings.http_proxy,
        proxy=_proxy(settings),
        oidc=_oidc(settings),
    )


def is_loopback(interface: str) -> bool:
    """Whether only this host can reach an address."""
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return interface == "localhost"


def _hosts(settings: Settings) -> tuple[str, ...]:
    """Names that the service answers to."""
    names = [*LOOPBACK_NAMES, *settings.http_hosts]
    if not is_loopback(settings.http_interface):
        names.append(socket.gethostname())
        if settings.http_interface not in ANY:
            interface = settings.http_interface
            names.append(f"[{interface}]" if ":" in interface else interface)
    if settings.http_public_url is not None:
        names.append(urlsplit(settings.http_public_url).hostname or "")
    return tuple(dict.fromkeys(name.lower() for name in names if name))


def _proxy(settings: Settings) -> ProxyOptions:
    if not settings.http_proxy:
        if settings.http_user_header:
            raise ServingError("BEAMCTL_HTTP_USER_HEADER is believed from a reverse proxy only: say --behind-proxy")
        return ProxyOptions()
    try:
        addresses = Addresses.of(*settings.http_proxy_addresses)
    except ValueError as error:
        raise ServingError(f"BEAMCTL_HTTP_PROXY_ADDRESSES: {error}") from error
    return ProxyOptions(addresses, settings.http_user_header)


def _oidc(settings: Settings) -> OidcOptions | None:
    if settings.oidc_issuer is None:
        return None
    if settings.http_public_url is None or not settings.oidc_client_id:
        raise ServingError("an identity provider needs BEAMCTL_OIDC_CLIENT_ID and BEAMCTL_HTTP_PUBLIC_URL, too")
    for name, url in (("OIDC_ISSUER", settings.oidc_issuer), ("HTTP_PUBLIC_URL", settings.http_public_url)):
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ServingError(f"BEAMCTL_{name}: {url} has to be an https URL")
    return OidcOptions(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=_client_secret(settings),
        public_url=settings.http_public_url,
        label=settings.oidc_label,
        name_claim=settings.oidc_name_claim,
        groups_claim=settings.oidc_groups_claim,
        roles=settings.oidc_roles,
    )


def _client_secret(settings: Settings) -> str:
    file = settings.oidc_client_secret_file
    if file is None:
        return settings.oidc_client_secret.get_secret_value()
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ServingError(f"BEAMCTL_OIDC_CLIENT_SECRET_FILE {file}: {error.strerror}") from error
