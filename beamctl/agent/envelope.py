"""What a trained agent has seen, kept in its manifest: observations outside are none of its business.

Two tests, both must pass: every feature lies in its own range, and all of them together are no further from their mean
than they were in training-like runs (Mahalanobis distance: features that always go together must do so).
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveFloat, PositiveInt, model_validator

Array = NDArray[np.float64]
Vector = tuple[FiniteFloat, ...]


class Envelope(BaseModel):
    """Measured by :mod:`beamctl.training.envelope`. Features are those of the observation, row by row.

    Attributes:
        lo, hi: range of each feature, margin included.
        mean: of each feature.
        whitening: lower triangle W, row i with i + 1 numbers: \\|W (observation - mean)\\| is the Mahalanobis distance.
        threshold: largest distance that is inside.
        samples: observations that it was measured on.
        runs: that they come from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lo: Vector
    hi: Vector
    mean: Vector
    whitening: tuple[Vector, ...]
    threshold: PositiveFloat
    samples: PositiveInt
    runs: PositiveInt

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        n = len(self.mean)
        if not len(self.lo) == len(self.hi) == len(self.whitening) == n > 0:
            raise ValueError(f"{n} means need as many limits and rows of the whitening matrix")
        if any(len(row) != i + 1 for i, row in enumerate(self.whitening)):
            raise ValueError("row i of the whitening matrix needs i + 1 numbers")
        if any(not a < b for a, b in zip(self.lo, self.hi, strict=True)):
            raise ValueError("every range needs lo < hi")
        return self


class Gate:
    """An envelope, ready to be asked.

    Args:
        envelope: of the agent.
        names: of the features, for people.
    """

    def __init__(self, envelope: Envelope, names: tuple[str, ...]) -> None:
        if len(names) != len(envelope.mean):
            raise ValueError(f"{len(names)} names for {len(envelope.mean)} features")
        self._names = names
        self._lo, self._hi, self._mean = (np.array(v) for v in (envelope.lo, envelope.hi, envelope.mean))
        n = len(envelope.mean)
        self._whitening = np.zeros((n, n))
        self._whitening[np.tril_indices(n)] = np.concatenate([np.array(row) for row in envelope.whitening])
        self._threshold = envelope.threshold

    def distance(self, observation: Array) -> Array:
        """How far out observations are, up to 1 is inside; infinite where anything is not finite.

        Args:
            observation: shape (batch, rows, columns).

        Returns:
            Shape (batch,).
        """
        flat = observation.reshape(len(observation), -1)
        finite = np.asarray(np.isfinite(flat).all(axis=-1))
        known = np.where(finite[:, None], flat, 0.0)
        together = mahalanobis(known, self._mean, self._whitening) / self._threshold
        return np.where(finite, np.maximum(self._excess(known).max(axis=1), together), np.inf)

    def why(self, observation: Array) -> str:
        """What is unusual about one observation, shape (rows, columns), for people; empty where it is inside."""
        flat = observation.ravel()
        if not np.isfinite(flat).all():
            return f"{self._names[int(np.argmin(np.isfinite(flat)))]} is not a number"
        excess = self._excess(flat)
        worst = int(excess.argmax())
        if excess[worst] > 1.0:
            return f"{self._names[worst]} is {flat[worst]:.3g} (known {self._lo[worst]:.3g} to {self._hi[worst]:.3g})"
        together = float(mahalanobis(flat, self._mean, self._whitening)) / self._threshold
        return f"the values do not go together ({together:.1f} x as far off as known)" if together > 1.0 else ""

    def _excess(self, flat: Array) -> Array:
        """Distance of each feature from the middle of its range, 1 at its ends."""
        return np.asarray(np.abs(2.0 * (flat - self._lo) / (self._hi - self._lo) - 1.0))


def mahalanobis(flat: Array, mean: Array, whitening: Array) -> Array:
    """Distance from the mean in standard deviations.

    Args:
        flat: features, shape (..., n).
        mean: shape (n,).
        whitening: shape (n, n).

    Returns:
        Shape (...,).
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.linalg.norm((flat - mean) @ whitening.T, axis=-1))
