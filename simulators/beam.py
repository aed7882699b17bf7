"""Relativistic kinematics of one ion species.

Energies are eV per nucleon (the accelerator's accepted unit), everything else is SI. All functions work
elementwise on arrays of any shape.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

C_M_S = 299_792_458.0
"""speed of light, m/s"""

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
FloatOrArray = float | Array


class Ion(NamedTuple):
    """An ion species.

    Attributes:
        mass_ev: rest energy per nucleon, eV.
        charge: charge number per nucleon, q/A.
    """

    mass_ev: float
    charge: float


def gamma(energy_ev: FloatOrArray, mass_ev: FloatOrArray) -> FloatOrArray:
    """Lorentz factor at a kinetic energy per nucleon, eV."""
    return 1.0 + energy_ev / mass_ev


def beta_gamma(energy_ev: FloatOrArray, mass_ev: FloatOrArray) -> FloatOrArray:
    """Momentum in units of mc, beta * gamma."""
    return np.sqrt((energy_ev / mass_ev) * (2.0 + energy_ev / mass_ev))


def rigidity_tm(energy_ev: FloatOrArray, mass_ev: FloatOrArray, charge: FloatOrArray) -> FloatOrArray:
    """Magnetic rigidity B rho = p/q, T m."""
    return mass_ev * beta_gamma(energy_ev, mass_ev) / (C_M_S * charge)
