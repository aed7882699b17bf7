"""What the descriptions of all machines share: name, identity, heartbeat, permit, what only a simulated one has."""

import hashlib
import json
from typing import Annotated

from pydantic import StringConstraints

from beamctl.machine.quantity import Megahertz, Seconds, Strict

PvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-:\[\]<>;.]{1,60}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-+.]*$")]


class Identity(Strict):
    """The PV that says which machine answers, and what the real and the simulated one say."""

    pv: PvName
    live: str
    simulated: str


class Heartbeat(Strict):
    """A PV that counts; stale once it has stood still for ``max_age``."""

    pv: PvName
    period: Seconds
    max_age: Seconds


class FencePvs(Strict):
    """PVs of a fence in front of a setpoint: records in its IOC that refuse a request whose time has passed.

    Attributes:
        request: takes value, expiry and token in one put.
        acknowledge: token and status of the last request.
        clock: the IOC's time, s since 1990-01-01.
    """

    request: PvName
    acknowledge: PvName
    clock: PvName


class SimulationControl(Strict):
    """PVs that only a simulated machine has: the seed of its errors, and the scenario they come from."""

    seed: PvName
    scenario: PvName


class Machine(Strict):
    """A machine, whatever it is made of.

    Attributes:
        frequency: of the RF.
        permit: PV, 1 = beam allowed.
        enable: PV of the control room's, 1 = programs may tune; without it nothing is ever written.
    """

    name: Name
    title: str
    frequency: Megahertz
    identity: Identity
    heartbeat: Heartbeat
    permit: PvName
    enable: PvName | None = None
    simulation: SimulationControl


_NOT_CONTENT = frozenset({"source", "assumed", "range", "title", "fence"})


def content_hash(content: dict[str, object]) -> str:
    """SHA-256 of a description's content; titles, the origins of numbers and fences do not count."""
    text = json.dumps(_without_origins(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _without_origins(node: object) -> object:
    if isinstance(node, dict):
        return {k: _without_origins(v) for k, v in node.items() if k not in _NOT_CONTENT}
    if isinstance(node, list):
        return [_without_origins(v) for v in node]
    return node
