"""Results of runs for programs: one JSON object each."""

import math
from collections.abc import Mapping
from typing import Any

from beamctl.errors import BeamControlError
from beamctl.run.events import Advice, Outcome, RunResult
from beamctl.wiring.kit import Choice, TaskKit

FIGURES = {True: ("rms_mm",), False: ("acct_ma", "mfc1_ma", "transmission")}
"""by whether it is an orbit task"""


def head(task: str, algorithm: str, agent: str) -> dict[str, Any]:
    """The beginning of every object: what was asked for."""
    return {"task": task, "algorithm": algorithm, "agent": agent if "tbsac" in algorithm else None}


def head_of(task: str, kit: TaskKit, choice: Choice) -> dict[str, Any]:
    """The same from a choice."""
    return head(task, choice.algorithm or kit.algorithms[0], choice.agent or kit.default_agent)


def as_object(
    asked: Mapping[str, Any], result: RunResult, advice: Advice | None = None, run: int | None = None
) -> dict[str, Any]:
    """A result behind its head; ``run`` null where nothing was written down."""
    shown = {
        **asked,
        "run": run,
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


def nothing_done(asked: Mapping[str, Any], error: BeamControlError, *, is_orbit: bool) -> dict[str, Any]:
    """A run that did not begin, behind its head."""
    nothing = dict.fromkeys(FIGURES[is_orbit])
    return {
        **asked, "run": None, "outcome": Outcome.FAILED.value, "steps": 0, "initial": nothing, "final": nothing,
        "restored": False, "writes": 0, "reason": str(error),
    }  # fmt: skip


def _figures(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in figures.items()}


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
