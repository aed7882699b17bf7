"""The transmission task as pure functions: what is maximised, what is reported, what an agent sees.

Arrays have any leading (batch) axes. Readings are pairs (ACCT, MFC1) in mA on the last axis: the current in front of
the RFQ and the current behind it. The quantity to raise is MFC1. Transmission, MFC1 / ACCT, is reported and never
maximised: scraping the beam in front of the ACCT raises it while the current behind the RFQ falls.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ACCT, MFC1 = 0, 1
"""columns of a reading"""
GO_BACK_NOISES = 2.0
"""a run that ends within so many rms noises of its best reading stays where it is: the best of many noisy readings
looks better than it is, and going back costs steps"""


def transmission(reading_ma: Array, floor_ma: float) -> Array:
    """MFC1 / ACCT; not a number where the ACCT sees no beam.

    Not clipped: a value above 1 says that the monitors' calibrations differ.

    Args:
        reading_ma: shape (..., 2).
        floor_ma: ACCT current below which there is no beam, above 0.

    Returns:
        Dimensionless, shape (...,).
    """
    acct, mfc1 = reading_ma[..., ACCT], reading_ma[..., MFC1]
    has_beam = acct >= floor_ma
    return np.asarray(np.where(has_beam, mfc1 / np.where(has_beam, acct, 1.0), np.nan))


def objective(reading_ma: Array, floor_ma: float) -> Array:
    """What is raised, mA: MFC1; without beam at the ACCT how far the ACCT is below the floor, which is negative.

    So whoever climbs finds the beam first. Finite for finite readings, monotone across the floor.

    Args:
        reading_ma: shape (..., 2).
        floor_ma: ACCT current below which there is no beam.
    """
    acct, mfc1 = reading_ma[..., ACCT], reading_ma[..., MFC1]
    return np.asarray(np.where(acct >= floor_ma, mfc1, np.minimum(mfc1, 0.0) + np.minimum(acct - floor_ma, 0.0)))
