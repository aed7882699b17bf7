"""Deployment settings, from ``BEAMCTL_*`` environment variables; no default reaches a live machine."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from beamctl.errors import SettingsError

Words = Annotated[tuple[str, ...], NoDecode]
"""in the environment separated by commas"""


class Settings(BaseSettings):
    """Where and what.

    Attributes:
        machine: names or files of the machine descriptions, in the environment separated by commas.
        ion: name or file of the ion that runs in the linac; None: the description's own.
        prefix: put in front of every PV name.
        agents: folder with agents of this site, beside those that come with beamctl.
        store: where requests, runs and events are written down, sqlite:///FILE or postgresql://HOST/DATABASE.
        status_prefix: put in front of the PVs that show the control process itself.
        status_interface: address where these PVs are served; with any but loopback other hosts see them and can halt.
        status_port: where they are served; 0: the first free port that no IOC uses.
        connect_timeout_s: how long PVs may take to answer at the start.
        live_hz: how often the control process shows what the machine reads, at most; less often would count as old.
        server: address of a service that commands go through instead of the store; None: the store.
        api_key: who one is there; None: as logged in.
        http_interface: address where the service listens; any but loopback needs TLS, or a proxy that has it.
        http_port: where it listens; 0: any free one.
        http_hosts: names by which browsers and programs call it; those of the interface are known.
        http_certificate, http_key: PEM files for TLS.
        http_proxy: a reverse proxy in front of it speaks TLS.
        http_proxy_addresses: of that proxy, the only ones whose X-Forwarded-For counts.
        http_user_header: header in which the proxy names who has logged in to it.
        http_public_url: of the service as browsers see it, for the identity provider.
        session_hours: how long a login lasts; an idle one ends after a quarter of it.
        oidc_issuer: identity provider (OpenID Connect); None: none.
        oidc_client_id, oidc_client_secret: of the service at the provider; never shown.
        oidc_client_secret_file: file with the secret, instead.
        oidc_label: of the button on the login page.
        oidc_name_claim, oidc_groups_claim: where name and groups are in the ID token.
        oidc_roles: GROUP=ROLE, in the environment separated by semicolons; without, an admin has to make the accounts.
    """

    model_config = SettingsConfigDict(env_prefix="BEAMCTL_", extra="ignore")

    machine: Words = ("cafe2", "lpi")
    ion: str | None = None
    prefix: str = ""
    agents: Path = Path("var/agents")
    store: str = "sqlite:///var/beamctl.db"
    status_prefix: str = "BEAMCTL:"
    status_interface: str = "127.0.0.1"
    status_port: int = Field(default=0, ge=0, le=65535)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    live_hz: float = Field(default=10.0, ge=0.5, le=50)
    server: str | None = None
    api_key: SecretStr | None = None
    http_interface: str = "127.0.0.1"
    http_port: int = Field(default=8470, ge=0, le=65535)
    http_hosts: Words = ()
    http_certificate: Path | None = None
    http_key: Path | None = None
    http_proxy: bool = False
    http_proxy_addresses: Words = ("127.0.0.1", "::1")
    http_user_header: str = ""
    http_public_url: str | None = None
    session_hours: float = Field(default=12.0, ge=0.1, le=24 * 30)
    oidc_issuer: str | None = None
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_client_secret_file: Path | None = None
    oidc_label: str = "Log in at the laboratory"
    oidc_name_claim: str = "preferred_username"
    oidc_groups_claim: str = "groups"
    oidc_roles: Annotated[dict[str, Literal["viewer", "operator", "admin"]], NoDecode] = Field(default_factory=dict)

    @field_validator("machine", "http_hosts", "http_proxy_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        return dict(pair.rpartition("=")[::2] for pair in value.split(";")) if isinstance(value, str) else value


def read_settings(**given: object) -> Settings:
    """The settings of the environment, and what was given instead; None counts as not given.

    Raises:
        SettingsError: a variable that cannot be used.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = [f"BEAMCTL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("; ".join(wrong)) from None


def ensure_channel_access_environment() -> None:
    """Loopback only, unless the operator's environment names the machine's network.

    Has to run before libca is loaded. Who has set EPICS_CA_ADDR_LIST or EPICS_CA_NAME_SERVERS has chosen a machine;
    nobody else reaches one.
    """
    if "EPICS_CA_ADDR_LIST" not in os.environ and "EPICS_CA_NAME_SERVERS" not in os.environ:
        os.environ["EPICS_CA_ADDR_LIST"] = "127.0.0.1"
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
