"""Results of runs for programs: one JSON object each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beamctl.errors import BeamControlError
from beamctl.run.events import Advice, Outcome, RunResult
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import OrbitKit

FIGURES = {True: ("rms_mm",), False: ("acct_ma", "mfc1_ma", "transmission")}
"""by whether it is an orbit task"""


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    task: str
    kit: TaskKit
    choice: Choice

    def head(self) -> dict[str, Any]:
        """The beginning of every object."""
        algorithm = self.choice.algorithm or self.kit.algorithms[0]
        agent = self.choice.agent or self.kit.default_agent
        return {"task": self.task, "algorithm": algorithm, "agent": agent if "tbsac" in algorithm else None}


def as_object(asked: Asked, result: RunResult, advice: Advice | None = None) -> dict[str, Any]:
    """A result."""
    shown = asked.head() | {
        "outcome": result.outcome.value,
        "steps": result.steps,
        "initial": _figures(result.initial),
        "final": _figures(result.final),
        "restored": result.restored,
        "writes": result.writes,
        "reason": result.reason,
    }
    if result.restore:
        shown["restore"] = [
            {
                "pv": line.setpoint_pv,
                "outcome": line.outcome.value,
                "snapshot_a": _number(line.snapshot),
                "held_a": _number(line.held),
                "readback_a": _number(line.readback),
                "message": line.message,
            }
            for line in result.restore
        ]
    if advice is not None:
        shown["advice"] = {
            "proposed_a": [round(float(v), 6) for v in advice.proposed_a],
            "setpoint_a": [round(float(v), 6) for v in advice.setpoint_a],
            "note": advice.note,
            **{f"predicted_{name}": _number(value) for name, value in advice.predicted.items()},
        }
    return shown


def nothing_done(asked: Asked, error: BeamControlError) -> dict[str, Any]:
    """A run that did not begin."""
    nothing = dict.fromkeys(FIGURES[isinstance(asked.kit, OrbitKit)])
    return asked.head() | {
        "outcome": Outcome.FAILED.value, "steps": 0, "initial": nothing, "final": nothing,
        "restored": False, "writes": 0, "reason": str(error),
    }  # fmt: skip


def _figures(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in figures.items()}


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
