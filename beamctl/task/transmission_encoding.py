"""What an agent for the transmission task sees: the trend, where the knobs stand, and the best that was found.

A picture of 5 rows x 9 columns. The columns stand for ACCT, MFC1, T and the six knobs of the injector:

| row | ACCT, MFC1, T | knobs |
|---|---|---|
| 0 | change before the last, x 5 | the same, in steps |
| 1 | last change, x 5 | the same, in steps |
| 2 | present value | relative to the start, in ranges |
| 3 | step limit / 6 % of range, free share of the knobs, 0 | present value, -1 to 1 over the range |
| 4 | MFC1 at best, MFC1 - MFC1 at best (x 5), T at best | best minus present value, in steps, at most 4 |

Currents are relative to the described source current. T is 0 where the ACCT sees no beam. *Best* is the reading with
the highest :func:`~beamctl.task.transmission.objective`. Knobs that take no part show zeros.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from beamctl.task.transmission import ACCT, MFC1, Array, objective, transmission
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

Mask = NDArray[np.bool_]

KNOBS = 6
"""knobs of the injector: both solenoids, both corrector pairs"""
READINGS = 3
"""columns: ACCT, MFC1, T"""
ROWS = 5
COLUMNS = READINGS + KNOBS
TREND_ROWS = 3
CHANGE_GAIN = 5.0
"""currents change by some 0.1 per step; knobs are shown in steps"""
REFERENCE_STEP = 0.06
"""step limit, as a share of the range, that row 3 shows as 1"""
MOST_STEPS = 4.0
"""how far away the best setting may seem"""
LARGEST_T = 1.5
_READINGS, _KNOBS = ("ACCT", "MFC1", "T"), tuple(f"knob {k + 1}" for k in range(KNOBS))
FEATURES = (
    *(f"{row} of {column}" for row in ("change before", "last change") for column in (*_READINGS, *_KNOBS)),
    *_READINGS,
    *(f"way of {knob}" for knob in _KNOBS),
    *("step limit", "share of free knobs", "nothing"),
    *(f"place of {knob}" for knob in _KNOBS),
    *("best MFC1", "loss of MFC1", "best T"),
    *(f"way back of {knob}" for knob in _KNOBS),
)
"""what each number of an observation is, row by row, for people"""


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
class Episode:
    """What is remembered of an episode.

    Attributes:
        reading_ma: the last three readings, the newest last, shape (..., 3, 2).
        readback_a: all knobs at them, shape (..., 3, 6).
        start_a: all knobs at the first reading, shape (..., 6).
        best_reading_ma: best reading so far, shape (..., 2).
        best_a: all knobs at it, shape (..., 6).
    """

    reading_ma: Array
    readback_a: Array
    start_a: Array
    best_reading_ma: Array
    best_a: Array

    def put(self, rows: NDArray[np.int64], others: "Episode") -> None:
        """Replace rows, in place."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(others, f.name)

    def take(self, rows: NDArray[np.int64]) -> "Episode":
        """The given rows."""
        return Episode(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def first_episode(reading_ma: Array, readback_a: Array) -> Episode:
    """What is known after the first reading: nothing has changed yet.

    Args:
        reading_ma: shape (..., 2).
        readback_a: shape (..., 6).
    """
    return Episode(
        np.stack([reading_ma] * TREND_ROWS, axis=-2),
        np.stack([readback_a] * TREND_ROWS, axis=-2),
        readback_a.copy(),
        reading_ma.copy(),
        readback_a.copy(),
    )


def next_episode(episode: Episode, reading_ma: Array, readback_a: Array, floor_ma: float) -> Episode:
    """The same episode with one more reading; arguments as :func:`first_episode`."""
    better = objective(reading_ma, floor_ma) > objective(episode.best_reading_ma, floor_ma)
    better = better[..., None]
    return Episode(
        np.concatenate([episode.reading_ma[..., 1:, :], reading_ma[..., None, :]], axis=-2),
        np.concatenate([episode.readback_a[..., 1:, :], readback_a[..., None, :]], axis=-2),
        episode.start_a,
        np.where(better, reading_ma, episode.best_reading_ma),
        np.where(better, readback_a, episode.best_a),
    )


def episode_of(view: TransmissionView, problem: TransmissionProblem) -> Episode:
    """What is remembered of the whole episode that a view shows."""
    readback = spread_knobs(view.readback_a, problem.slots)
    recent = np.maximum(np.arange(-TREND_ROWS, 0) + view.reading_ma.shape[1], 0)
    rows, best = np.arange(len(readback)), objective(view.reading_ma, problem.floor_ma).argmax(axis=1)
    return Episode(
        view.reading_ma[:, recent], readback[:, recent], readback[:, 0], view.reading_ma[rows, best],
        readback[rows, best],
    )  # fmt: skip


def knob_scale(problem: TransmissionProblem) -> KnobScale:
    """Limits and steps of a problem, spread over all knobs."""
    free = np.zeros(KNOBS, dtype=bool)
    free[problem.slots] = True
    lo, hi, step = (spread_knobs(x, problem.slots) for x in (problem.lo_a, problem.hi_a, problem.step_a))
    return KnobScale(lo, np.where(free, hi, 1.0), np.where(free, step, 1.0), free)


def spread_knobs(columns: Array, slots: NDArray[np.int64]) -> Array:
    """Put the columns of a problem's knobs into their slots, zero elsewhere: (..., k) -> (..., 6)."""
    out = np.zeros((*columns.shape[:-1], KNOBS))
    out[..., slots] = columns
    return out


def encode(episode: Episode, scale: KnobScale, floor_ma: float, source_ma: float) -> Array:
    """The observation.

    Args:
        episode: what is remembered.
        scale: limits and steps of the knobs.
        floor_ma: ACCT current below which there is no beam.
        source_ma: scale of the currents.

    Returns:
        Shape (..., 5, 9), finite for finite readings.
    """
    span, free = scale.hi_a - scale.lo_a, scale.free
    seen = _readings(episode.reading_ma, floor_ma, source_ma)
    best = _readings(episode.best_reading_ma, floor_ma, source_ma)
    knobs = episode.readback_a
    out = np.zeros((*seen.shape[:-2], ROWS, COLUMNS))
    out[..., :2, :READINGS] = CHANGE_GAIN * np.diff(seen, axis=-2)
    out[..., 2, :READINGS] = seen[..., 2, :]
    out[..., :2, READINGS:] = np.diff(knobs, axis=-2) / np.expand_dims(scale.step_a, -2)
    out[..., 2, READINGS:] = (knobs[..., 2, :] - episode.start_a) / span
    out[..., 3, 0] = (scale.step_a / span * free).sum(axis=-1) / free.sum(axis=-1) / REFERENCE_STEP
    out[..., 3, 1] = free.mean(axis=-1)
    out[..., 3, READINGS:] = 2.0 * (knobs[..., 2, :] - scale.lo_a) / span - 1.0
    out[..., 4, 0] = best[..., MFC1]
    out[..., 4, 1] = CHANGE_GAIN * (seen[..., 2, MFC1] - best[..., MFC1])
    out[..., 4, 2] = best[..., 2]
    away = (episode.best_a - knobs[..., 2, :]) / scale.step_a
    out[..., 4, READINGS:] = np.clip(away, -MOST_STEPS, MOST_STEPS)
    out[..., READINGS:] *= np.expand_dims(free, -2)
    return out


def _readings(reading_ma: Array, floor_ma: float, source_ma: float) -> Array:
    """ACCT, MFC1 and T, shape (..., 3)."""
    ratio = np.clip(np.nan_to_num(transmission(reading_ma, floor_ma), nan=0.0), 0.0, LARGEST_T)
    return np.stack([reading_ma[..., ACCT] / source_ma, reading_ma[..., MFC1] / source_ma, ratio], axis=-1)
