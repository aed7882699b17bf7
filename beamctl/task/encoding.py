"""What an agent sees: the trend of the readings, raw as published or normalised by the model.

The published observation is the stack of the last two changes and the present reading; the agent never sees
the magnet settings. *Model-normalised* means that each of the three rows is multiplied by a damped inverse of the
lattice's nominal response, which turns readings in mm into the corrector steps that the model would take. The same
agent then serves any module, any ion and any set of working BPMs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.task.orbit import Array, Mask

SLOTS = 10
"""columns of the normalised observation and of the action: x and y corrector of five cells"""

TREND = ("change before of", "last change of", "reading of")
"""the three rows of an observation, for people"""


@dataclass(frozen=True)
class Normalisation:
    """How readings become corrector steps.

    Attributes:
        gain: scale of the observation; 1 would be the full model step.
        damping_mm: singular values of the response per step (mm per full step) well below this are left alone.
    """

    gain: float = 1.0
    damping_mm: float = 0.1


def trend(history_mm: Array) -> Array:
    """Rows [S(t-1) - S(t-2), S(t) - S(t-1), S(t)] of three successive readings.

    Args:
        history_mm: S(t-2), S(t-1), S(t), shape (..., 3, n).

    Returns:
        mm, shape (..., 3, n).
    """
    older, old, now = history_mm[..., 0, :], history_mm[..., 1, :], history_mm[..., 2, :]
    return np.stack([old - older, now - old, now], axis=-2)


def first_history(before_mm: Array, after_mm: Array) -> Array:
    """History after the first trend move: nothing is known before it, so the oldest change is zero."""
    return np.stack([before_mm, before_mm, after_mm], axis=-2)


def next_history(history_mm: Array, reading_mm: Array) -> Array:
    """History with one more reading, the oldest dropped."""
    return np.concatenate([history_mm[..., 1:, :], reading_mm[..., None, :]], axis=-2)


def normaliser(
    response_mm: Array, settings: Normalisation, valid: Mask | None = None, free: Mask | None = None
) -> Array:
    """Damped inverse of a response matrix, V s/(s^2 + d^2) U^T in terms of its singular values.

    Args:
        response_mm: mm per full step, shape (..., n, k).
        settings: gain and damping.
        valid: BPM channels that count, shape (..., n); the others' rows drop out.
        free: correctors that can still move, shape (..., k); the others' columns drop out.

    Returns:
        Steps per mm times gain, shape (..., k, n).
    """
    r = response_mm
    if valid is not None:
        r = r * valid[..., :, None]
    if free is not None:
        r = r * free[..., None, :]
    rt = np.swapaxes(r, -1, -2)
    damped = rt @ r + settings.damping_mm**2 * np.eye(r.shape[-1])
    return np.asarray(settings.gain * np.linalg.solve(damped, rt))


def free_correctors(model_step: Array, setpoint_a: Array, lo_a: Array, hi_a: Array) -> Mask:
    """Correctors that are not held by a limit.

    A corrector is held when it stands at a limit and the model would push it further out.

    Args:
        model_step: direction in which the model would move each corrector, any scale, shape (..., k).
        setpoint_a: present setpoints, A, shape (..., k).
        lo_a, hi_a: limits, A, shape (k,).
    """
    margin = 1e-3 * (hi_a - lo_a)
    at_top = (setpoint_a >= hi_a - margin) & (model_step > 0)
    at_bottom = (setpoint_a <= lo_a + margin) & (model_step < 0)
    return np.asarray(~(at_top | at_bottom))


def spread(columns: Array, slots: NDArray[np.int64], size: int = SLOTS) -> Array:
    """Put the columns of existing correctors into their slots, zero elsewhere: (..., k) -> (..., size)."""
    out = np.zeros((*columns.shape[:-1], size))
    out[..., slots] = columns
    return out


def feature_names(columns: int) -> tuple[str, ...]:
    """The columns of a normalised observation, for people: in corrector steps."""
    return tuple(f"{'xy'[i % 2]} in cell {i // 2 + 1}, steps," for i in range(columns))


def channel_names(columns: int) -> tuple[str, ...]:
    """The columns of a raw observation, for people: in mm."""
    return tuple(f"{'xy'[i % 2]} of BPM {i // 2 + 1}, mm," for i in range(columns))
