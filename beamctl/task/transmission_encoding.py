"""What an agent for the transmission task sees: the trend, where the knobs stand, and what the episode has taught.

A picture of 8 rows x 9 columns. The columns stand for ACCT, MFC1, T and the six knobs of the injector:

| row | ACCT, MFC1, T | knobs |
|---|---|---|
| 0 | change before the last, x 5 | the same, in steps |
| 1 | last change, x 5 | the same, in steps |
| 2 | present value | relative to the start, in ranges |
| 3 | step limit / 6 % of range, free share of the knobs, readings so far / 30 | present value, -1 to 1 over the range |
| 4 | MFC1 at best, MFC1 - MFC1 at best (x 5), T at best | best minus present value, in steps, at most 4 |
| 5 | 0 | slope of MFC1 per step, x 10 |
| 6 | 0 | slope of the ACCT per step, x 10 |
| 7 | 0 | what is not known of the slopes, 0 to 1 |

Currents are relative to the described source current. T is 0 where the ACCT sees no beam. *Best* is the reading with
the highest :func:`~beamctl.task.transmission.objective`. Slopes come from all readings of the episode: ridge regression
on the differences to the present reading, near ones weigh more. Knobs that take no part show zeros.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.task.transmission import ACCT, MFC1, Array, objective, transmission
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

Mask = NDArray[np.bool_]
Index = NDArray[np.int64]

KNOBS = 6
"""knobs of the injector: both solenoids, both corrector pairs"""
READINGS = 3
"""columns: ACCT, MFC1, T"""
ROWS = 8
COLUMNS = READINGS + KNOBS
TREND_ROWS = 3
CHANGE_GAIN = 5.0
"""currents change by some 0.1 per step; knobs are shown in steps"""
SLOPE_GAIN = 10.0
REFERENCE_STEP = 0.06
"""step limit, as a share of the range, that row 3 shows as 1"""
REFERENCE_LENGTH = 30.0
MOST_STEPS = 4.0
"""how far away the best setting may seem"""
LARGEST_T = 1.5
LARGEST_SLOPE = 3.0
NEAR_STEPS = 3.0
"""readings so far away weigh exp(-1/2) in a slope"""
RIDGE = 0.3
"""of the slopes, steps^2: a knob that was moved by well below half a step says little"""


@dataclass(frozen=True)
class KnobScale:
    """What all knobs are measured by; knobs that take no part have any positive range.

    Attributes:
        lo_a, hi_a: setpoint limits, A, shape (..., 6).
        step_a: largest change in one step, A, shape (..., 6).
        free: knobs that take part, shape (..., 6).
    """

    lo_a: Array
    hi_a: Array
    step_a: Array
    free: Mask


@dataclass(frozen=True)
class History:
    """Episodes of any length in one array.

    Attributes:
        reading_ma: ACCT and MFC1 of each reading, shape (n, t, 2); what stands behind an episode's last is ignored.
        readback_a: all knobs at them, shape (n, t, 6).
        count: readings of each episode, at least 1, shape (n,).
    """

    reading_ma: Array
    readback_a: Array
    count: Index

    def add(self, rows: Index, reading_ma: Array, readback_a: Array) -> None:
        """One more reading of the given episodes, in place."""
        self.reading_ma[rows, self.count[rows]] = reading_ma
        self.readback_a[rows, self.count[rows]] = readback_a
        self.count[rows] += 1


def empty_history(n: int, length: int) -> History:
    """Room for ``n`` episodes of up to ``length`` readings."""
    return History(np.zeros((n, length, 2)), np.zeros((n, length, KNOBS)), np.zeros(n, dtype=np.int64))


def history_of(view: TransmissionView, slots: Index) -> History:
    """The episodes that a view shows."""
    n, t = view.reading_ma.shape[:2]
    return History(view.reading_ma, spread_knobs(view.readback_a, slots), np.full(n, t))


def knob_scale(problem: TransmissionProblem) -> KnobScale:
    """Limits and steps of a problem, spread over all knobs."""
    free = np.zeros(KNOBS, dtype=bool)
    free[problem.slots] = True
    lo, hi, step = (spread_knobs(x, problem.slots) for x in (problem.lo_a, problem.hi_a, problem.step_a))
    return KnobScale(lo, np.where(free, hi, 1.0), np.where(free, step, 1.0), free)


def spread_knobs(columns: Array, slots: Index) -> Array:
    """Put the columns of a problem's knobs into their slots, zero elsewhere: (..., k) -> (..., 6)."""
    out = np.zeros((*columns.shape[:-1], KNOBS))
    out[..., slots] = columns
    return out


def encode(history: History, scale: KnobScale, floor_ma: float, source_ma: float) -> Array:
    """The observation.

    Args:
        history: of n episodes.
        scale: limits and steps of the knobs, one for all or one per episode.
        floor_ma: ACCT current below which there is no beam.
        source_ma: scale of the currents.

    Returns:
        Shape (n, 8, 9), finite for finite readings.
    """
    h, span = history, scale.hi_a - scale.lo_a
    n, t = h.reading_ma.shape[:2]
    rows = np.arange(n)
    recent = np.maximum(h.count[:, None] + np.arange(-TREND_ROWS, 0), 0)
    knobs, seen = (
        h.readback_a[rows[:, None], recent],
        _readings(h.reading_ma[rows[:, None], recent], floor_ma, source_ma),
    )
    exists = np.arange(t) < h.count[:, None]
    at_best = np.where(exists, objective(h.reading_ma, floor_ma), -np.inf).argmax(axis=1)
    best, now = _readings(h.reading_ma[rows, at_best], floor_ma, source_ma), knobs[:, 2]
    out = np.zeros((n, ROWS, COLUMNS))
    out[:, :2, :READINGS] = CHANGE_GAIN * np.diff(seen, axis=1)
    out[:, 2, :READINGS] = seen[:, 2]
    out[:, :2, READINGS:] = np.diff(knobs, axis=1) / np.expand_dims(scale.step_a, -2)
    out[:, 2, READINGS:] = (now - h.readback_a[:, 0]) / span
    out[:, 3, 0] = (scale.step_a / span * scale.free).sum(axis=-1) / scale.free.sum(axis=-1) / REFERENCE_STEP
    out[:, 3, 1] = scale.free.mean(axis=-1)
    out[:, 3, 2] = h.count / REFERENCE_LENGTH
    out[:, 3, READINGS:] = 2.0 * (now - scale.lo_a) / span - 1.0
    out[:, 4, 0] = best[:, MFC1]
    out[:, 4, 1] = CHANGE_GAIN * (seen[:, 2, MFC1] - best[:, MFC1])
    out[:, 4, 2] = best[:, 2]
    out[:, 4, READINGS:] = np.clip((h.readback_a[rows, at_best] - now) / scale.step_a, -MOST_STEPS, MOST_STEPS)
    moved = (h.readback_a - now[:, None]) / np.expand_dims(scale.step_a, -2) * np.expand_dims(scale.free, -2)
    gained = (h.reading_ma - h.reading_ma[rows, h.count - 1][:, None]) / source_ma
    out[:, 5:, READINGS:] = _slopes(moved, gained[..., [MFC1, ACCT]], exists)
    out[..., READINGS:] *= np.expand_dims(scale.free, -2)
    return out


def _readings(reading_ma: Array, floor_ma: float, source_ma: float) -> Array:
    """ACCT, MFC1 and T, shape (..., 3)."""
    ratio = np.clip(np.nan_to_num(transmission(reading_ma, floor_ma), nan=0.0), 0.0, LARGEST_T)
    return np.stack([reading_ma[..., ACCT] / source_ma, reading_ma[..., MFC1] / source_ma, ratio], axis=-1)


def _slopes(moved: Array, gained: Array, exists: Mask) -> Array:
    """Slopes of two currents (n, t, 2) on the knobs (n, t, 6) around the present setting, and what is not known.

    Returns:
        Slopes x gain, and the share of each knob's slope that the ridge holds at zero, shape (n, 3, 6).
    """
    weight = exists * np.exp(-0.5 / NEAR_STEPS**2 * np.square(moved).sum(axis=-1))
    weighted = np.swapaxes(moved * weight[..., None], -1, -2)
    inverse = np.linalg.inv(weighted @ moved + RIDGE * np.eye(KNOBS))
    slope = np.clip(SLOPE_GAIN * (inverse @ (weighted @ gained)), -LARGEST_SLOPE, LARGEST_SLOPE)
    unknown = RIDGE * np.diagonal(inverse, axis1=-2, axis2=-1)
    return np.concatenate([np.swapaxes(slope, -1, -2), unknown[:, None]], axis=1)
