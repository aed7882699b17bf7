"""Deployment settings, from ``BEAMCTL_*`` environment variables; no default reaches a live machine."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where and what.

    Attributes:
        machine: name or file of the machine description.
        ion: name or file of the ion that runs; None: the machine's own.
        prefix: put in front of every PV name.
        agents: folder with agents of this site, beside those that come with beamctl.
        store: where requests, runs and events are written down, sqlite:///FILE or postgresql://HOST/DATABASE.
        connect_timeout_s: how long PVs may take to answer at the start.
    """

    model_config = SettingsConfigDict(env_prefix="BEAMCTL_", extra="ignore")

    machine: str = "cafe2"
    ion: str | None = None
    prefix: str = ""
    agents: Path = Path("var/agents")
    store: str = "sqlite:///var/beamctl.db"
    connect_timeout_s: float = Field(default=5.0, gt=0)


def ensure_channel_access_environment() -> None:
    """Loopback only, unless the operator's environment names the machine's network.

    Has to run before libca is loaded. Who has set EPICS_CA_ADDR_LIST or EPICS_CA_NAME_SERVERS has chosen a machine;
    nobody else reaches one.
    """
    if "EPICS_CA_ADDR_LIST" not in os.environ and "EPICS_CA_NAME_SERVERS" not in os.environ:
        os.environ["EPICS_CA_ADDR_LIST"] = "127.0.0.1"
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
