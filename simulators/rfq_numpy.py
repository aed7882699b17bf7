"""The tracker of :mod:`simulators.rfq` once more, in NumPy and float64, with exact functions: the check.

Same leapfrog through the same step table; sine, Bessel functions and roots come from NumPy and SciPy, every
array holds all particles, and nothing is rounded to float32.
"""

import math

import numpy as np
from scipy.special import i0, i1

from simulators.beam import Array
from simulators.rfq import ENERGY_CUT, MAX_RADIUS, MIN_ENERGY, StepTable, Tracked


def track(table: StepTable, position: Array, phase: Array, voltage: float = 1.0) -> Tracked:
    """Twin of :func:`simulators.rfq.track`: same arguments, same results."""
    x, y = np.array(position[0], dtype=np.float64), np.array(position[2], dtype=np.float64)
    n = x.size
    w = np.full(n, table.input_energy)
    momentum = np.sqrt(w * (w + 2.0))
    px, py = position[1] * momentum, position[3] * momentum
    turns = np.array(phase, dtype=np.float64) + 0.25 / table.per_cell
    alive = np.ones(n, dtype=np.bool_)
    cells = np.zeros(n, dtype=np.int32)
    floor = MIN_ENERGY * table.input_energy
    for s, row in enumerate(table.rows):
        drift, turn, quadrupole, monopole, gain, quarter_k2, vane_quadrupole, vane_monopole = row
        momentum = np.sqrt(w * (w + 2.0))
        slowness = (1.0 + w) / momentum
        x, y = x + drift * px / momentum, y + drift * py / momentum
        turns = turns + drift / table.wavelength_m * slowness - 0.5 / table.per_cell
        rf = np.sin(2.0 * math.pi * (turns + turn))
        kr = 2.0 * np.sqrt(quarter_k2 * (x * x + y * y))
        bessel = i0(kr)
        push = monopole * np.divide(2.0 * i1(kr), kr, out=np.ones(n), where=kr > 0.0)
        px = px - voltage * (quadrupole + push) * x * rf * slowness
        py = py + voltage * (quadrupole - push) * y * rf * slowness
        w = w + voltage * gain * bessel * rf
        alive &= np.abs(vane_quadrupole * (x * x - y * y) + vane_monopole * bessel) < 1.0
        px, py, w = px * alive, py * alive, np.maximum(w, floor)
        if (s + 1) % table.per_cell == 0:
            alive &= (x * x + y * y < (MAX_RADIUS * table.r0_m) ** 2) & (w > floor)
            cells += alive
    momentum = np.sqrt(w * (w + 2.0))
    turns = turns + table.last_drift_m / table.wavelength_m * (1.0 + w) / momentum - 0.25 / table.per_cell
    end = np.stack(
        [x + table.last_drift_m * px / momentum, px / momentum, y + table.last_drift_m * py / momentum, py / momentum]
    )
    survived = cells >= table.n_cell
    end = np.where(survived, end, np.nan).astype(np.float32)
    transmitted = survived & (w > ENERGY_CUT * table.exit_energy)
    return Tracked(transmitted, cells, end, w.astype(np.float32), turns.astype(np.float32))
