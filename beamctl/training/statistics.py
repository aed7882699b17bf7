"""Statistics of reports: bootstrap intervals and percentiles that may not exist."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_BOOTSTRAP = 2000
CONFIDENCE = (2.5, 97.5)


def interval(values: Array, rng: np.random.Generator) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rows: NDArray[np.int64] = rng.integers(len(values), size=(N_BOOTSTRAP, len(values)))
    lo, hi = np.percentile(values[rows].mean(axis=1), CONFIDENCE)
    return float(lo), float(hi)


def step_percentile(steps: Array, percent: float) -> float | None:
    """Percentile of the steps to a goal, infinite where it is never reached; None where that percentile is."""
    value = float(np.percentile(steps, percent, method="lower"))
    return value if np.isfinite(value) else None
