"""What is believed of a section: orbit with all correctors at zero, and response matrix, as one joint Gaussian.

The reading is affine in the setpoints, ``y = o + R u + noise``, so with x = (o | R) as an unknown matrix of shape
(n, 1 + k) every reading at known setpoints is a linear measurement of x, and Bayes' rule is the Kalman update. That is
recursive least squares with a prior, and the prior carries what the lattice model knows: how the elements of R move
together when a solenoid is off, and where a displaced solenoid sends the beam. So a reading of some BPMs says
something about the others, dead ones included.

Leading axes are machines; covariances are of the flattened x, shape (..., n (1 + k), n (1 + k)).
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from beamctl.task.orbit import Array, Mask

UNUSABLE_MM = 1e4
"""noise that a reading without information is given"""


@dataclass(frozen=True)
class Belief:
    """Mean and covariance of orbit and response.

    Attributes:
        mean: (o | R), mm and mm/A, shape (..., n, 1 + k).
        covariance: of its elements row by row.
    """

    mean: Array
    covariance: Array

    @property
    def response_mm_per_a(self) -> Array:
        """Posterior mean of the response, shape (..., n, k)."""
        return np.asarray(self.mean[..., 1:])

    @property
    def n_channel(self) -> int:
        """Number of BPM channels, n."""
        return int(self.mean.shape[-2])

    def orbit_mm(self, setpoint_a: Array) -> Array:
        """Expected orbit at setpoints of shape (..., k), mm, shape (..., n)."""
        return np.asarray(self.mean[..., 0] + np.matvec(self.response_mm_per_a, setpoint_a))

    def orbit_sd_mm(self, setpoint_a: Array) -> Array:
        """Standard deviation of the orbit at setpoints, mm, shape (..., n)."""
        seen = _seen(setpoint_a)
        cross = self._cross(seen)
        variance = np.einsum(
            "...iai,...a->...i", cross.reshape(*cross.shape[:-2], self.n_channel, -1, self.n_channel), seen
        )
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def after(self, setpoint_a: Array, reading_mm: Array, noise_mm: Array, usable: Mask) -> Self:
        """The belief after one more reading.

        Args:
            setpoint_a: where it was taken, A, shape (..., k).
            reading_mm: shape (..., n).
            noise_mm: rms of the reading, shape (..., n).
            usable: channels to learn from, shape (..., n).
        """
        n = self.n_channel
        seen = _seen(setpoint_a)
        cross = self._cross(seen)
        inner = np.einsum("...iaj,...a->...ij", cross.reshape(*cross.shape[:-2], n, -1, n), seen)
        noise = np.where(usable, noise_mm, UNUSABLE_MM) ** 2
        surprise = np.where(usable, reading_mm - self.orbit_mm(setpoint_a), 0.0)
        gain = np.swapaxes(np.linalg.solve(inner + noise[..., None] * np.eye(n), np.swapaxes(cross, -1, -2)), -1, -2)
        mean = self.mean + np.matvec(gain, surprise).reshape(self.mean.shape)
        covariance = self.covariance - gain @ np.swapaxes(cross, -1, -2)
        return replace(self, mean=mean, covariance=0.5 * (covariance + np.swapaxes(covariance, -1, -2)))

    def at(self, rows: Mask | Array | int) -> Self:
        """Some of several machines."""
        return replace(self, mean=self.mean[rows], covariance=self.covariance[rows])

    def _cross(self, seen: Array) -> Array:
        """Covariance of x with the readings at setpoints, shape (..., n (1 + k), n)."""
        by_channel = self.covariance.reshape(*self.covariance.shape[:-1], self.n_channel, -1)
        return np.asarray(np.einsum("...rja,...a->...rj", by_channel, seen))


def belief_of(bare_mm: Array, response_mm_per_a: Array, offset_mm: float = 0.0) -> Belief:
    """The belief that an ensemble of plausible machines amounts to.

    Args:
        bare_mm: orbit of each with all correctors at zero, shape (m, n).
        response_mm_per_a: of each, shape (m, n, k).
        offset_mm: rms offset of a BPM channel; what is read is the orbit with it.
    """
    m, n, k = response_mm_per_a.shape
    x = np.concatenate([bare_mm[..., None], response_mm_per_a], axis=-1)
    mean = x.mean(axis=0)
    mean[:, 0] = 0.0  # displacements have no preferred direction
    deviation = (x - mean).reshape(m, -1)
    covariance = deviation.T @ deviation / m
    orbit = np.arange(n) * (1 + k)
    covariance[orbit, orbit] += offset_mm**2
    return Belief(mean, covariance)


def _seen(setpoint_a: Array) -> Array:
    return np.concatenate([np.ones((*setpoint_a.shape[:-1], 1)), setpoint_a], axis=-1)
