"""Deployment settings, from ``BEAMCTL_*`` environment variables; no default reaches a live machine."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


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
    """

    model_config = SettingsConfigDict(env_prefix="BEAMCTL_", extra="ignore")

    machine: Annotated[tuple[str, ...], NoDecode] = ("cafe2", "lpi")
    ion: str | None = None
    prefix: str = ""
    agents: Path = Path("var/agents")
    store: str = "sqlite:///var/beamctl.db"
    status_prefix: str = "BEAMCTL:"
    status_interface: str = "127.0.0.1"
    status_port: int = Field(default=0, ge=0, le=65535)
    connect_timeout_s: float = Field(default=5.0, gt=0)

    @field_validator("machine", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


def ensure_channel_access_environment() -> None:
    """Loopback only, unless the operator's environment names the machine's network.

    Has to run before libca is loaded. Who has set EPICS_CA_ADDR_LIST or EPICS_CA_NAME_SERVERS has chosen a machine;
    nobody else reaches one.
    """
    if "EPICS_CA_ADDR_LIST" not in os.environ and "EPICS_CA_NAME_SERVERS" not in os.environ:
        os.environ["EPICS_CA_ADDR_LIST"] = "127.0.0.1"
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
