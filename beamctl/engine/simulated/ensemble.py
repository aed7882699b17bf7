"""Plausible machines of a section, as orbits and response matrices: what a belief about the real one starts from."""

from dataclasses import dataclass

import numpy as np

from beamctl.engine.simulated.lattice import MM
from simulators.beam import Array
from simulators.errors_model import ErrorSpec, apply_errors, draw, rewired
from simulators.lattice import Lattice, Optics
from simulators.linac import build


@dataclass(frozen=True)
class Ensemble:
    """``m`` machines with ``n`` BPM channels and ``k`` correctors.

    Attributes:
        bare_mm: true orbit with all correctors at zero, shape (m, n).
        response_mm_per_a: shape (m, n, k).
    """

    bare_mm: Array
    response_mm_per_a: Array


def draw_ensemble(lattice: Lattice, optics: Optics, spec: ErrorSpec, seed: int, m: int) -> Ensemble:
    """Machines drawn from an error specification; ``optics`` holds one setting."""
    errors = draw(lattice, optics.n_cell, spec, np.random.default_rng(seed), m)
    machines = apply_errors(lattice, optics.take(np.zeros(m, dtype=np.int64)), errors)
    orbits = rewired(build(lattice, machines), errors)
    return Ensemble(orbits.bare_m * MM, orbits.response_m_per_a * MM)
