"""The orbit task as pure functions: RMS, reward and both ends of an episode, as published for TBSAC.

Arrays have any leading (batch) axes; the last axis is the BPM channel, x and y interleaved along the beam.
Source of reward and ends: X. Chen et al., arXiv 2305.13869.
"""

import numpy as np
from numpy.typing import NDArray

from beamctl.errors import NoValidReadingError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

FELL_WEIGHT = 0.4
ROSE_PENALTY = 4.0
SUCCESS_BONUS = 50.0
BONUS_PER_STEP_LEFT = 3.0


def combine_readings(samples: Array) -> Array:
    """Median of repeated readings: isolated glitches of several mm do not move it.

    Args:
        samples: mm, shape (n_readings, ...).

    Returns:
        mm, shape (...,).
    """
    return np.asarray(np.median(samples, axis=0))


def orbit_rms(orbit: Array, valid: Mask | None = None) -> Array:
    """RMS of the BPM readings over both planes.

    Args:
        orbit: BPM readings in mm, shape (..., n).
        valid: False where a channel must not count, shape (..., n); all count without it.

    Returns:
        RMS in mm, shape (...,).

    Raises:
        NoValidReadingError: no channel is valid in some row.
    """
    if valid is None:
        return np.asarray(np.sqrt(np.vecdot(orbit, orbit) / orbit.shape[-1]))
    counted = np.where(valid, orbit, 0.0)
    count = np.add.reduce(valid, axis=-1, dtype=float)
    if not count.all():
        raise NoValidReadingError("no BPM channel is valid: nothing to correct")
    return np.asarray(np.sqrt(np.vecdot(counted, counted) / count))


def step_reward(previous: Array, current: Array, valid: Mask | None = None) -> Array:
    """Reward of a step that does not reach the target: -RMS + 0.4 D, see :func:`improvement`.

    Args:
        previous, current: orbit before and after the step, mm, shape (..., n).
        valid: channels that count.

    Returns:
        Shape (...,).
    """
    rms = orbit_rms(current, valid)
    return np.asarray(FELL_WEIGHT * improvement(previous, current, valid) - rms)


def improvement(previous: Array, current: Array, valid: Mask | None = None) -> Array:
    """D = (1/n) sum d_i with d_i = +1/n where abs(S_i) fell and -4/n elsewhere; arguments as :func:`step_reward`."""
    each = np.where(np.abs(current) < np.abs(previous), 1.0, -ROSE_PENALTY)
    if valid is None:
        return np.asarray(np.add.reduce(each, axis=-1) / current.shape[-1] ** 2)
    n = np.add.reduce(valid, axis=-1, dtype=float)
    return np.asarray(np.add.reduce(np.where(valid, each, 0.0), axis=-1) / (n * n))


def success_bonus(steps_left: Array | int) -> Array:
    """Added to the reward of the step that reaches the target: 50 + 3 x steps left."""
    return np.asarray(SUCCESS_BONUS + BONUS_PER_STEP_LEFT * np.asarray(steps_left, dtype=float))


def is_reached(rms_mm: Array | float, target_mm: float) -> Mask:
    """Whether the target is reached; never for NaN."""
    return np.asarray(np.asarray(rms_mm) < target_mm)


STOP_SHARE = 0.95
"""a run stops at this share of the target: BPM offsets of 0.1 mm move an RMS of 0.5 mm by about 0.02 mm"""


def is_confirmed(rms_mm: Array | float, target_mm: float) -> Mask:
    """Whether a measurement is far enough below the target for a run to stop; never for NaN."""
    return is_reached(rms_mm, STOP_SHARE * target_mm)
