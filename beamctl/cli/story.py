"""A run as its events tell it, whoever brings them: the store, or the service."""

import math
from datetime import datetime
from typing import Any

import numpy as np

from beamctl.engine.restore import RestoreLine, RestoreOutcome, RestoreReport
from beamctl.run.events import Advice, Changed, Event, Held, Outcome, Proposed, Restored, RunResult, Stepped
from beamctl.run.visits import number, numbers
from beamctl.store.states import RunState

ORPHAN = "the control process has ended; the next one, beamctl operate, restores what this run has moved"
WAITING = (RunState.HOLD, RunState.REVIEW, RunState.CONFLICT)


class RunStory:
    """What is known of a run so far.

    Attributes:
        steps: every reading.
        restored: what became of every setpoint; None: nothing was restored yet.
        result: as soon as it is written down.
    """

    def __init__(self) -> None:
        self.steps: list[Stepped] = []
        self.result: RunResult | None = None
        self.restored: Restored | None = None
        self._proposed: Proposed | None = None
        self._state: RunState | None = None
        self._hold = Held("", 0.0)
        self._since: datetime | None = None
        self._orphan_since: datetime | None = None

    def take(self, kind: str, payload: Any, time: datetime) -> Event | None:
        """Note an event as it was written down; what there is to show of it."""
        event = translated(kind, payload)
        match event:
            case RunResult():
                self.result = event
                return None
            case Stepped():
                self.steps.append(event)
            case Restored():
                self.restored = event
            case Proposed():
                self._proposed = event
            case Changed():
                self._state, self._hold, self._since = event.state, Held(event.reason, 0.0), time
            case Held():
                self._hold, self._since = event, time
        return event

    @property
    def advice(self) -> Advice | None:
        """What a dry run has proposed; None where it was none, or has not come to its end."""
        result, p = self.result, self._proposed
        if result is None or p is None or result.outcome is not Outcome.ADVISED:
            return None
        return Advice(p.setpoint_a - p.change_a, p.setpoint_a, result.initial, p.predicted, is_reached=False)

    def waiting(self, now: datetime, *, has_owner: bool, hint: str = "") -> Held | None:
        """What there is to show while nothing happens; None: nothing.

        Args:
            now: by the clock of the events.
            has_owner: a process is at work on it.
            hint: what a person can do.
        """
        if not has_owner:
            self._orphan_since = self._orphan_since or now
            return Held(ORPHAN, (now - self._orphan_since).total_seconds())
        self._orphan_since = None
        if self._since is None or self._state not in WAITING:
            return None
        passed = (now - self._since).total_seconds()
        left = None if self._hold.restore_in_s is None else self._hold.restore_in_s - passed
        return Held(self._hold.reason + (f" ({hint})" if hint else ""), passed, left)

    def pieced_together(self, reason: str, writes: int) -> RunResult:
        """The result of a run whose process ended before it could say.

        Args:
            reason: why it is where it is.
            writes: puts that were written down.
        """
        lines = tuple(self.restored.lines) if self.restored is not None else ()
        ends = [self.steps[0].figures, self.steps[-1].figures] if self.steps else [{}, {}]
        nowhere, nothing = np.array([]), np.array([], dtype=bool)
        return RunResult(
            outcome=Outcome.FAILED,
            steps=max((step.step for step in self.steps), default=0),
            initial=ends[0],
            final=dict.fromkeys(ends[1], math.nan),
            restored=bool(lines) and RestoreReport(list(lines)).is_complete,
            writes=writes,
            reason=f"the process that carried it out ended in mid-run, and it was not resumed; {reason}",
            initial_values=self.steps[0].values if self.steps else nowhere,
            final_values=np.full_like(self.steps[-1].values, math.nan) if self.steps else nowhere,
            valid=np.zeros_like(self.steps[-1].valid) if self.steps else nothing,
            restore=lines,
        )


def translated(kind: str, p: Any) -> Event | RunResult | None:
    """An event of the record as the run has reported it; None where there is nothing to show."""
    match kind:
        case "visited":
            values, valid = numbers(p["values"]), np.array(p["valid"], dtype=bool)
            figures = {name: number(value) for name, value in p["figures"].items()}
            return Stepped(p["step"], figures, values, valid, numbers(p["setpoint_a"]), p["seconds"], p["note"])
        case "restored":
            return Restored([restore_line(line) for line in p])
        case "proposed":
            setpoint_a, change_a = numbers(p["setpoint_a"]), numbers(p["change_a"])
            predicted = {name: number(value) for name, value in p["predicted"].items()}
            return Proposed(f"step {p['step']}", p["step"], setpoint_a, change_a, predicted)
        case "held":
            return Held(p["reason"], 0.0, p["restore_in_s"])
        case "state":
            return Changed(RunState(p["state"]), p["reason"])
        case "result":
            return stored_result(p)
    return None


def restore_line(stored: dict[str, Any]) -> RestoreLine:
    """A line of a restore as it was written down."""
    numbers = {name: number(stored[name]) for name in ("snapshot", "held", "readback")}
    return RestoreLine(**{**stored, **numbers, "outcome": RestoreOutcome(stored["outcome"])})


def stored_result(stored: dict[str, Any]) -> RunResult:
    """A result as it was written down."""
    figures = {name: {k: number(v) for k, v in stored[name].items()} for name in ("initial", "final")}
    arrays = {name: numbers(stored[name]) for name in ("initial_values", "final_values")}
    return RunResult(
        **{
            **stored,
            **figures,
            **arrays,
            "outcome": Outcome(stored["outcome"]),
            "valid": np.array(stored["valid"], dtype=bool),
            "restore": tuple(restore_line(line) for line in stored["restore"]),
        }
    )
