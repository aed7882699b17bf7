"""Where a run stands: what people decide on, and its version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beamctl.api import numbers
from beamctl.api.schemas.runs import Hold, Proposal
from beamctl.store.commands import DECIDING
from beamctl.store.events import Event
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.store.states import RunState

CHANGED = ("state", "ended")
PROPOSED = "proposed"
HELD = "held"
LOOK_BACK = 20
"""events that are looked at, the newest; read at once, so that they are of one moment"""


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        proposal: a step that waits for approval.
        hold: why nothing is written just now.
        state: by the newest event that tells one; None: it has not begun.
        seq: of the newest event that people decide on; 0: none.
        version: changes with every such event.
    """

    proposal: Proposal | None
    hold: Hold | None
    state: RunState | None
    seq: int
    version: str


def standing(store: Store, run: Run) -> Standing:
    """Where a run stands; a hold is void with the next change of state, a proposal when it is reviewed no longer."""
    newest = store.pages.events(run.id, DECIDING, limit=LOOK_BACK, newest_first=True)
    changed = next((event for event in newest if event.kind in CHANGED), None)
    seq = newest[0].seq if newest else 0
    proposed = held = None
    if run.ended is None:
        proposed = _waiting(newest)
        held = store.pages.latest(run.id, (HELD,), 0 if changed is None else changed.seq)
    return Standing(
        None if proposed is None else _proposal(proposed.payload),
        None if held is None else _hold(held),
        None if changed is None else RunState(changed.payload["state"]),
        seq,
        f"{run.id}-{run.state.value}-{seq}",
    )


def _waiting(newest: Sequence[Event]) -> Event | None:
    """The newest proposal, unless the run has gone on since."""
    for event in newest:
        if event.kind == PROPOSED:
            return event
        if event.payload["state"] != RunState.REVIEW:
            return None
    return None


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
