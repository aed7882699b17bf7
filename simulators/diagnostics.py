"""What the instruments show: BPMs and current monitors."""

import numpy as np
from scipy.special import chndtr

from simulators.beam import Array
from simulators.errors_model import Errors


def transmitted_fraction(orbit_m: Array, rms_m: Array, radius_m: float) -> Array:
    """Share of a round Gaussian beam that passes the narrowest place.

    Inside a circle of radius a, centred |u| from the beam's centroid, lies the noncentral chi-square probability
    with 2 degrees of freedom and noncentrality |u|^2/s^2 at a^2/s^2. Losses at several places hit mostly the same
    particles, so the smallest share counts.

    Args:
        orbit_m: centroid (x1, y1, x2, ...), shape (..., 2 b).
        rms_m: rms radius per plane, shape (..., b).
        radius_m: aperture radius.

    Returns:
        Shape (...,), 0 to 1.
    """
    squared = orbit_m[..., 0::2] ** 2 + orbit_m[..., 1::2] ** 2
    inside = chndtr((radius_m / rms_m) ** 2, 2.0, np.minimum(squared / rms_m**2, 1e4))
    return np.asarray(np.nan_to_num(inside, nan=0.0).min(axis=-1))


def read_bpms(orbit_m: Array, errors: Errors, rng: np.random.Generator, noise_factor: float = 1.0) -> Array:
    """Readings of all BPM channels, m, shape (n, 2 b).

    Args:
        orbit_m: true orbit, shape (n, 2 b).
        errors: signs, offsets, noise and dead channels of the n machines.
        rng: noise.
        noise_factor: rms of the combined reading relative to a single one.
    """
    noise = rng.standard_normal(orbit_m.shape) * (noise_factor * errors.bpm_noise_m)[:, None]
    return np.where(errors.dead_channel, 0.0, errors.channel_sign * orbit_m + errors.bpm_offset_m + noise)


def median_noise_factor(n: int) -> float:
    """Rms of the median of ``n`` normal readings relative to one reading (odd ``n``, within 1 %)."""
    return float(np.sqrt(np.pi / (2 * n + np.pi - 2)))
