"""Where a run stands: what people decide on, and its version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beamctl.api import numbers
from beamctl.api.schemas.runs import Hold, Proposal
from beamctl.store.events import Event
from beamctl.store.open import Store
from beamctl.store.runs import Run

CHANGED = ("state", "ended")
PROPOSED = "proposed"
HELD = "held"


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        proposal: a step that waits for approval.
        hold: why nothing is written just now.
        seq: of the newest event that people decide on; 0: none.
        version: changes with every such event.
    """

    proposal: Proposal | None
    hold: Hold | None
    seq: int
    version: str


def standing(store: Store, run: Run) -> Standing:
    """Where a run stands; what was proposed or held before the last change of state is void."""
    changed = store.pages.latest(run.id, CHANGED)
    since = 0 if changed is None else changed.seq
    proposed = held = None
    if run.ended is None:
        proposed = store.pages.latest(run.id, (PROPOSED,), since)
        held = store.pages.latest(run.id, (HELD,), since)
    seq = since if proposed is None else proposed.seq
    return Standing(
        None if proposed is None else _proposal(proposed.payload),
        None if held is None else _hold(held),
        seq,
        f"{run.id}-{run.state.value}-{seq}",
    )


def _proposal(p: Mapping[str, Any]) -> Proposal:
    return Proposal(
        step=int(p["step"]),
        setpoint_a=numbers.known(p["setpoint_a"]),
        change_a=numbers.known(p["change_a"]),
        predicted=numbers.figures(p.get("predicted")),
    )


def _hold(event: Event) -> Hold:
    left = numbers.number(event.payload.get("restore_in_s"))
    if left is not None:
        left = max(0.0, left - (datetime.now(UTC) - event.time).total_seconds())
    return Hold(reason=str(event.payload.get("reason", "")), restore_in_s=left)
