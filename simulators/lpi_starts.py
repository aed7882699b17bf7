"""Where a tuner finds an injector: at a poor setting with some beam behind the RFQ, or with hardly any at all."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulators.beam import Array

LEAST_SHARE, LARGEST_SHARE = 0.05, 0.7
"""ACCT current at a poor setting, relative to the source: there is a beam, and it is little"""
DARK_SHARE = 0.02
"""ACCT current below which there is hardly any beam"""
ROUNDS = 60

Currents = Callable[[NDArray[np.int64], Array], Array]
"""rows and knobs (rows, 6) to true ACCT and MFC1 relative to the source, (rows, 2)"""


def find_starts(
    currents: Currents,
    n: int,
    lo: Array,
    hi: Array,
    transmission: tuple[float, float] | None,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> Array:
    """Random settings, uniform among those that qualify.

    Args:
        currents: of the machines.
        n: number of machines.
        lo, hi: ranges of the knobs, shapes (k,).
        transmission: interval of the true transmission at little current; None: hardly any beam at the ACCT.
        rng: the only source of randomness.
        rounds: how many random settings a machine is tried at, at most.

    Returns:
        One setting per machine, shape (n, k). A machine of which no random setting qualifies gets the one that came
        closest.
    """
    best, found = np.zeros((n, len(lo))), np.full(n, np.inf)
    for _ in range(rounds):
        rows = np.flatnonzero(found > 0.0)
        if not rows.size:
            break
        tried = rng.uniform(lo, hi, (rows.size, len(lo)))
        miss = _miss(currents(rows, tried), transmission)
        better = miss < found[rows]
        best[rows[better]], found[rows[better]] = tried[better], miss[better]
    return best


def _miss(shares: Array, transmission: tuple[float, float] | None) -> Array:
    """How far a setting is from qualifying, 0 where it does."""
    acct, mfc1 = shares[:, 0], shares[:, 1]
    if transmission is None:
        return np.maximum(acct - DARK_SHARE, 0.0)
    reached = mfc1 / np.maximum(acct, 1e-9)
    return np.asarray(
        np.maximum(transmission[0] - reached, 0.0)
        + np.maximum(reached - transmission[1], 0.0)
        + np.maximum(LEAST_SHARE - acct, 0.0)
        + np.maximum(acct - LARGEST_SHARE, 0.0)
    )
