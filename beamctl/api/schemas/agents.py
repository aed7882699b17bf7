"""Trained agents and their passports."""

from datetime import datetime
from typing import Any

from pydantic import StrictBool

from beamctl.api.schemas.base import Asked, Line, Told


class AgentSummary(Told):
    """One agent.

    Attributes:
        machine: that it was trained for; ``machine_hash`` null: any section that fits.
        tasks: of this deployment that it could serve.
        default_for: tasks that use it unless told.
        enabled: runs may use it.
        selection: result on the machines that chose the checkpoint.
    """

    id: str
    task_kind: str
    machine: str
    machine_hash: str | None
    policy_sha256: str
    tasks: list[str]
    default_for: list[str]
    enabled: bool
    preset: str
    seed: int
    selection: dict[str, float | None]


class Agents(Told):
    """Every agent."""

    agents: list[AgentSummary]


class Agent(AgentSummary):
    """A passport.

    Attributes:
        manifest: without golden vectors and the inside of the envelope.
        has_envelope: it is asked only about what it was trained for.
        is_verified: hash, network and golden vectors are in order; ``verification`` says so in words.
        switched_by, switched_at, switch_reason: who last enabled or disabled it; null and empty: nobody.
    """

    manifest: dict[str, Any]
    evaluation: list[dict[str, Any]]
    has_envelope: bool
    is_verified: bool
    verification: str
    switched_by: str | None
    switched_at: datetime | None
    switch_reason: str


class SwitchAgent(Asked):
    """Enable or disable an agent for runs that begin from now on."""

    enabled: StrictBool
    reason: Line = ""
