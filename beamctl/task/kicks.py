"""Small kicks of all correctors at once, from which the whole response matrix is measured.

Every pattern kicks nearly all correctors up or down; the columns of the design are orthogonal, so each corrector's
response is seen in every reading, as if it had been kicked alone as many times. Each pattern is made with both signs:
the difference of the pair knows nothing of the orbit itself or of a slow drift, and the sum says how noisy and how
linear the machine is.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load themselves when they are used

from beamctl.task.orbit import Array

SAFE_SHARE = 0.9
"""kicks keep every reading, by the model, inside this share of the believable range"""
SMALLEST_SHARE = 0.25
"""a kick is made no smaller than this share of the described one"""
HADAMARD_SIZES = (1, 2, 4, 8, 12, 16, 20, 24, 32, 64)
CONFERENCE_PRIMES = (5, 13, 17, 29)
TEN = (0, 1, -1, -1, 1), (-1, 1, 1, 1, 1)
"""first rows of the two circulants that make a conference matrix of order 10 (9 is no prime)"""


@dataclass(frozen=True)
class KickPlan:
    """What is written and in which order.

    Attributes:
        kick_a: size, A, shape (..., 1).
        centre_a: setpoints that the kicks are made around: as found, or far enough from a limit, shape (..., k).
        settings_a: setpoints of each reading, plus and minus in turn, shape (2 m, ..., k).
    """

    kick_a: Array
    centre_a: Array
    settings_a: Array


def kick_patterns(k: int) -> Array:
    """A design for ``k`` correctors: the smallest Hadamard or conference matrix that has as many columns.

    Returns:
        -1, 0, +1 with orthogonal columns of equal weight, shape (m, k), m >= k.
    """
    sizes = [(size, _hadamard) for size in HADAMARD_SIZES]
    sizes += [(10, _conference_ten), *((q + 1, _conference) for q in CONFERENCE_PRIMES)]
    fitting = [(size, make) for size, make in sizes if size >= k]
    if not fitting:
        return np.eye(k)
    size, make = min(fitting, key=lambda pair: pair[0])
    return make(size)[:, :k]


def plan_kicks(
    found_a: Array,
    lo_a: Array,
    hi_a: Array,
    kick_a: float,
    step_a: Array,
    reading_mm: Array,
    response_mm_per_a: Array,
    valid_range_mm: tuple[float, float],
) -> KickPlan:
    """Kicks that respect step and setpoint limits, and by the model keep readings believable.

    Args:
        found_a: present setpoints, A, shape (..., k).
        lo_a, hi_a: setpoint limits, A, shape (k,).
        kick_a: wanted size, A.
        step_a: largest change in one step, A, shape (k,).
        reading_mm: present reading, shape (..., n).
        response_mm_per_a: nominal response, shape (n, k).
        valid_range_mm: readings outside are not believed.
    """
    patterns = kick_patterns(len(lo_a))
    largest = min(kick_a, 0.5 * float(np.min(step_a)), 0.5 * float(np.min(hi_a - lo_a)))
    moved = np.abs(response_mm_per_a).sum(axis=-1)  # of 1 A in the worst pattern
    room = SAFE_SHARE * min(-valid_range_mm[0], valid_range_mm[1]) - np.abs(reading_mm)
    share = np.clip((room / np.maximum(moved * largest, 1e-9)).min(axis=-1, keepdims=True), SMALLEST_SHARE, 1.0)
    kick = largest * share
    centre = np.clip(found_a, lo_a + kick, hi_a - kick)
    signs = np.stack([np.ones(len(patterns)), -np.ones(len(patterns))], axis=1)
    both = (signs[:, :, None] * patterns[:, None, :]).reshape(-1, len(lo_a))
    shape = (len(both), *(1,) * (np.ndim(found_a) - 1), len(lo_a))
    return KickPlan(kick, centre, np.clip(centre + kick * both.reshape(shape), lo_a, hi_a))


@dataclass(frozen=True)
class MeasuredResponse:
    """What pairs of readings say without any model.

    Attributes:
        mm_per_a: response, shape (..., n, k).
        noise_mm: rms of one reading: whatever the sums of the pairs do not repeat, shape (..., n).
        noise_per_a: rms of an element for 1 mm of noise in a reading, the worst corrector's, shape (..., 1).
    """

    mm_per_a: Array
    noise_mm: Array
    noise_per_a: Array


def measured_response(settings_a: Array, readings_mm: Array) -> MeasuredResponse:
    """Least squares on the differences of pairs.

    Args:
        settings_a: what was really set, plus and minus in turn, A, shape (2 m, ..., k).
        readings_mm: shape (2 m, ..., n).
    """
    kick = np.moveaxis(0.5 * (settings_a[0::2] - settings_a[1::2]), 0, -2)
    answer = np.moveaxis(0.5 * (readings_mm[0::2] - readings_mm[1::2]), 0, -2)
    mean = 0.5 * (readings_mm[0::2] + readings_mm[1::2])
    inverse = np.linalg.inv(np.swapaxes(kick, -1, -2) @ kick)
    response = np.swapaxes(answer, -1, -2) @ kick @ inverse
    scatter = mean - np.median(mean, axis=0)
    noise = np.sqrt(2.0 * (scatter**2).sum(axis=0) / max(len(mean) - 1, 1))
    per_a = np.sqrt(0.5 * np.diagonal(inverse, axis1=-2, axis2=-1).max(axis=-1, keepdims=True))
    return MeasuredResponse(response, noise, per_a)


def _hadamard(size: int) -> Array:
    if size & (size - 1) == 0:
        return np.asarray(scipy.linalg.hadamard(size), dtype=float)
    return _paley(size - 1)


def _legendre(q: int) -> Array:
    """Quadratic characters of i - j modulo a prime, shape (q, q)."""
    squares = {i * i % q for i in range(1, q)}
    character = np.array([0.0 if i == 0 else 1.0 if i in squares else -1.0 for i in range(q)])
    i = np.arange(q)
    return np.asarray(character[(i[:, None] - i[None, :]) % q])


def _paley(q: int) -> Array:
    """Hadamard matrix of order q + 1 for a prime q = 3 mod 4."""
    skew = np.zeros((q + 1, q + 1))
    skew[0, 1:], skew[1:, 0], skew[1:, 1:] = 1.0, -1.0, _legendre(q)
    return np.asarray(skew + np.eye(q + 1))


def _conference(size: int) -> Array:
    """Symmetric conference matrix of order q + 1 for a prime q = 1 mod 4: C^T C = q I, zero diagonal."""
    c = np.ones((size, size))
    np.fill_diagonal(c, 0.0)
    c[1:, 1:] = _legendre(size - 1)
    return c


def _conference_ten(size: int) -> Array:
    """Order 10 from two circulants."""
    a, b = (np.array([np.roll(row, i) for i in range(size // 2)], dtype=float) for row in TEN)
    return np.asarray(np.block([[a, b], [b.T, -a.T]]))
