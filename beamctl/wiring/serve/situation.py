"""A reading that somebody asks about, taken from what the control process shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beamctl.engine.base import Severity
from beamctl.engine.layout import Knob, SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.errors import StaleReadingError
from beamctl.run.course import Array
from beamctl.store.live import LiveRow
from beamctl.wiring.kit import TaskKit

KNOBS = ("setpoint_a", "readback_a", "knob_severity")
CHANNELS = ("median", "valid")


@dataclass(frozen=True)
class Situation:
    """Where a task's knobs are, and what is read there.

    Attributes:
        setpoint_a, readback_a: A, shape (k,).
        measured: medians of the channels.
    """

    setpoint_a: Array
    readback_a: Array
    measured: Measurement


def situation_of(kit: TaskKit, live: LiveRow) -> Situation:
    """The reading of a task's own knobs and channels.

    Raises:
        StaleReadingError: knobs are not known or not where they were asked to be, or too few channels can be believed.
    """
    payload, layout = live.payload, kit.layout()
    places = _places(payload, layout)
    setpoint, readback = ([payload[name][i] for i in places] for name in KNOBS[:2])
    _check_knobs(layout.knobs, setpoint, readback, [payload["knob_severity"][i] for i in places])
    found = [m if ok else None for m, ok in zip(payload["median"], payload["valid"], strict=True)]
    valid = np.array([m is not None for m in found])
    if valid.mean() < layout.least_share:
        why = "".join(f"; {reason}" for reason in payload.get("unfit") or ())
        raise StaleReadingError(f"only {valid.sum()} of {len(valid)} channels can be believed: no advice{why}")
    values = np.array([0.0 if m is None else m for m in found])
    return Situation(np.array(setpoint, float), np.array(readback, float), Measurement(values, valid))


def _places(payload: Mapping[str, Any], layout: SectionLayout) -> list[int]:
    """Where the knobs of a task stand among those of its section.

    Raises:
        StaleReadingError: the reading is of another description of the section.
    """
    shown = list(payload.get("knobs") or ())
    is_whole = all(len(payload.get(name) or ()) == len(shown) for name in KNOBS) and all(
        len(payload.get(name) or ()) == len(layout.channels) for name in CHANNELS
    )
    missing = [knob.name for knob in layout.knobs if knob.name not in shown]
    if missing or not is_whole:
        raise StaleReadingError(
            "what the control process shows is of another description of the section: restart beamctl operate"
        )
    return [shown.index(knob.name) for knob in layout.knobs]


def _check_knobs(
    knobs: Sequence[Knob],
    setpoint_a: Sequence[float | None],
    readback_a: Sequence[float | None],
    severity: Sequence[int],
) -> None:
    unknown, off = [], []
    for knob, asked, measured, level in zip(knobs, setpoint_a, readback_a, severity, strict=True):
        if asked is None or measured is None or level >= Severity.INVALID:
            unknown.append(knob.name)
        elif not abs(measured - asked) <= knob.tolerance:
            off.append(f"{knob.name} at {measured:.4g} A, set {asked:.4g} +- {knob.tolerance:g} A")
    if unknown:
        raise StaleReadingError(f"nobody knows where these knobs are: {', '.join(unknown)}; no advice")
    if off:
        raise StaleReadingError(f"knobs on their way, or supplies that do not follow: {', '.join(off)}; no advice")
