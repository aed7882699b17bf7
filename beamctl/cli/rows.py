"""The rows of a run's live table, for each kind of task."""

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from beamctl.run.events import Stepped
from beamctl.task.orbit import Array, Mask
from beamctl.wiring.kit import TaskKit
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit

_BARS = "▁▂▃▄▅▆▇█"
_BLOCKS = " ▏▎▍▌▋▊▉"
BAR_WIDTH = 20

Column = tuple[str, str]
"""heading and justification"""


class Rows(Protocol):
    """How the steps of a run are shown.

    Attributes:
        columns: after step and time.
    """

    columns: tuple[Column, ...]

    def row(self, step: Stepped) -> list[RenderableType]:
        """The cells of a step, one per column, and the note behind them."""

    def words(self, figures: Mapping[str, float]) -> str:
        """Figures of a reading for a sentence."""


class OrbitRows:
    """RMS, largest reading, and both planes as small bars.

    Args:
        target_mm: decides the colours.
        channels: names for people.
    """

    columns: tuple[Column, ...] = (
        ("RMS\nmm", "right"), ("largest\nmm", "right"), ("moved\nA", "right"),
        ("|x|\n0..4 mm", "left"), ("|y|\n0..4 mm", "left"),
    )  # fmt: skip

    def __init__(self, target_mm: float, channels: tuple[str, ...]) -> None:
        self._target = target_mm
        self._channels = channels
        self._last: Array | None = None

    def row(self, step: Stepped) -> list[RenderableType]:
        """See :class:`Rows`."""
        moved = "" if self._last is None else f"{np.abs(step.setpoint_a - self._last).max():.2f}"
        self._last = step.setpoint_a
        rms, valid = step.figures["rms_mm"], step.valid
        colour = "green" if rms < self._target else "yellow" if rms < 2 * self._target else "red"
        note = step.note
        if not valid.all():
            missing = [n for n, ok in zip(self._channels, valid, strict=True) if not ok]
            note = f"{note}  without {', '.join(missing)}".strip()
        return [
            Text(f"{rms:.3f}", colour), f"{np.abs(step.values[valid]).max():.2f}", moved,
            _bars(step.values[0::2], valid[0::2]), _bars(step.values[1::2], valid[1::2]), note,
        ]  # fmt: skip

    def words(self, figures: Mapping[str, float]) -> str:
        """See :class:`Rows`."""
        return f"RMS {figures['rms_mm']:.3f} mm"


class TransmissionRows:
    """Both currents, the transmission, and the current behind the RFQ as a bar.

    Args:
        goal: transmission that decides the colours.
        full_ma: current of a full bar; None: a fifth more than the largest seen in front of the RFQ.
        span_a: interval of each knob, A, shape (k,).
    """

    columns: tuple[Column, ...] = (
        ("ACCT\nmA", "right"), ("MFC1\nmA", "right"), ("T", "right"), ("best\nmA", "right"), ("moved\n%", "right"),
        ("MFC1", "left"),
    )  # fmt: skip

    def __init__(self, goal: float, full_ma: float | None, span_a: Array) -> None:
        self._goal = goal
        self._full = full_ma
        self._most = 0.0
        self._span = span_a
        self._best = -math.inf
        self._last: Array | None = None

    def row(self, step: Stepped) -> list[RenderableType]:
        """See :class:`Rows`."""
        moved = "" if self._last is None else f"{100 * np.abs((step.setpoint_a - self._last) / self._span).max():.1f}"
        self._last = step.setpoint_a
        acct, mfc1, t = (step.figures[name] for name in ("acct_ma", "mfc1_ma", "transmission"))
        self._best = max(self._best, mfc1)
        self._most = max(self._most, acct)
        colour = "green" if t >= self._goal else "yellow" if t >= 0.8 * self._goal else "red"
        note = step.note
        if math.isnan(t):
            note = f"{note}  no beam at the ACCT".strip()
        elif t > 1:
            note = f"{note}  above 1: the monitors' calibrations differ".strip()
        shown = Text("-" if math.isnan(t) else f"{t:.3f}", colour)
        full = 1.2 * self._most if self._full is None else self._full
        bar = Text(_bar(mfc1 / full) if full > 0 else "", "cyan")
        return [f"{acct:.3f}", f"{mfc1:.3f}", shown, f"{self._best:.3f}", moved, bar, note]

    def words(self, figures: Mapping[str, float]) -> str:
        """See :class:`Rows`."""
        t = figures["transmission"]
        shown = "no beam" if math.isnan(t) else f"T {t:.3f}"
        return f"{shown} (MFC1 {figures['mfc1_ma']:.2f}, ACCT {figures['acct_ma']:.2f} mA)"


def make_rows(kit: TaskKit, target: float | None) -> Rows:
    """The rows that suit a task."""
    if isinstance(kit, TransmissionKit):
        problem = kit.problem()
        goal = problem.target_transmission if target is None else target
        return TransmissionRows(goal, 1.2 * problem.source_ma, problem.hi_a - problem.lo_a)
    if isinstance(kit, OrbitKit):
        return OrbitRows(kit.task.target_mm if target is None else target, kit.layout().channel_names)
    raise TypeError(f"no rows for {type(kit).__name__}")


def _bars(values: Array, valid: Mask) -> str:
    """Sizes as small bars, 4 mm and more is full; a dot where the BPM does not count."""
    level = np.clip(np.abs(values) / 4.0 * (len(_BARS) - 1), 0, len(_BARS) - 1).round().astype(int)
    return "".join(_BARS[i] if ok else "·" for i, ok in zip(level, valid, strict=True))


def _bar(share: float) -> str:
    """A share of 1 as a horizontal bar."""
    eighths = round(8 * BAR_WIDTH * min(max(share, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")
