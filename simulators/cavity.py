"""Half-wave resonator (HWR): two-gap field on the axis, stepped, with its phase of largest gain tabulated.

The synchronous phase of a cavity counts from the entry phase at which *this* cavity, at its voltage and for this
velocity, gains most. That phase depends on two numbers only, 1/beta at the entry and s = (q/A) V / mc^2,
so one small polynomial serves every ion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from simulators.beam import Array

INVERSE_BETA = (7.5, 20.5)
"""fitted range of 1/beta at the entry: 1.11 to 8.5 MeV/u"""
STRENGTH = (0.0, 0.0012)
"""fitted range of (q/A) V / mc^2; CAFe II uses 2e-4 to 4e-4"""
DEGREE_INVERSE_BETA = 9
DEGREE_STRENGTH = 5


@dataclass(frozen=True)
class CavityField:
    """Field on the axis, sampled in the middle of equal steps, for a voltage of 1 V.

    Attributes:
        length_m: length of the field map.
        wavelength_m: RF wavelength.
        ez: E_z in 1/m (V/m per V of int |E_z| dz), shape (n_steps,).
        dez: its derivative along z, 1/m^2, shape (n_steps,).
        max_gain_phase: polynomial coefficients in (1/beta, s), shape (DEGREE_INVERSE_BETA + 1, DEGREE_STRENGTH + 1):
            entry phase of largest gain + pi L / (beta lambda), rad; variables scaled to [-1, 1].
    """

    length_m: float
    wavelength_m: float
    ez: Array
    dez: Array
    max_gain_phase: Array

    @property
    def step_m(self) -> float:
        """Length of one step, m."""
        return self.length_m / len(self.ez)


def two_gap_field(
    length_m: float, gap_distance_m: float, gap_rms_m: float, wavelength_m: float, n_steps: int = 21
) -> CavityField:
    """Two Gaussian gaps of opposite sign, int |E_z| dz = 1.

    Args:
        length_m: length of the map, gaps symmetric about its middle.
        gap_distance_m: distance of the gap centres.
        gap_rms_m: rms width of each gap.
        wavelength_m: RF wavelength.
        n_steps: integration steps through the map.
    """
    z = (np.arange(n_steps) + 0.5) * length_m / n_steps
    ez, dez = np.zeros(n_steps), np.zeros(n_steps)
    for sign, centre in ((1, 0.5 * (length_m - gap_distance_m)), (-1, 0.5 * (length_m + gap_distance_m))):
        gap = sign * 0.5 / (np.sqrt(2 * np.pi) * gap_rms_m) * np.exp(-((z - centre) ** 2) / (2 * gap_rms_m**2))
        ez += gap
        dez += -(z - centre) / gap_rms_m**2 * gap
    empty = CavityField(length_m, wavelength_m, ez, dez, np.zeros((1, 1)))
    return CavityField(length_m, wavelength_m, ez, dez, _fit_max_gain_phase(empty))


def energy_gain(field: CavityField, gamma: Array, strength: Array, entry_phase: Array) -> Array:
    """Final minus initial gamma of the reference particle, all arguments broadcast.

    Args:
        field: the cavity.
        gamma: Lorentz factor at the entry.
        strength: (q/A) V / mc^2.
        entry_phase: RF phase at the entry, rad.
    """
    g = np.broadcast_arrays(gamma, strength, entry_phase)[0].astype(float)
    start = g.copy()
    phase = np.array(np.broadcast_to(entry_phase, g.shape), dtype=float)
    half = np.pi * field.step_m / field.wavelength_m
    for ez in field.ez:
        phase += half / np.sqrt(1 - 1 / g**2)
        g = g + strength * ez * np.cos(phase) * field.step_m
        phase += half / np.sqrt(1 - 1 / g**2)
    return np.asarray(g - start)


def scaled(value: Array, limits: tuple[float, float]) -> Array:
    """Map ``limits`` to [-1, 1]."""
    return np.asarray((2.0 * value - (limits[0] + limits[1])) / (limits[1] - limits[0]))


def max_gain_phase(field: CavityField, inverse_beta: Array, strength: Array) -> Array:
    """Entry phase of largest energy gain, rad, from the fitted polynomial."""
    p = polynomial.polyval2d(scaled(inverse_beta, INVERSE_BETA), scaled(strength, STRENGTH), field.max_gain_phase)
    return np.asarray(p - np.pi * field.length_m * inverse_beta / field.wavelength_m)


def _fit_max_gain_phase(field: CavityField) -> Array:
    nt, ns = DEGREE_INVERSE_BETA + 4, DEGREE_STRENGTH + 3
    t = chebyshev.chebpts1(nt)
    s = chebyshev.chebpts1(ns)
    tt, ss = np.meshgrid(t, s, indexing="ij")
    inverse_beta = 0.5 * ((INVERSE_BETA[1] - INVERSE_BETA[0]) * tt + sum(INVERSE_BETA))
    strength = 0.5 * ((STRENGTH[1] - STRENGTH[0]) * ss + sum(STRENGTH))
    strength = np.maximum(strength, 1e-9)
    centre = -np.pi * field.length_m * inverse_beta / field.wavelength_m
    offset = _search_max(field, inverse_beta, strength, centre)
    basis = polynomial.polyvander2d(tt.ravel(), ss.ravel(), (DEGREE_INVERSE_BETA, DEGREE_STRENGTH))
    coefficients, *_ = np.linalg.lstsq(basis, offset.ravel(), rcond=None)
    return np.asarray(coefficients.reshape(DEGREE_INVERSE_BETA + 1, DEGREE_STRENGTH + 1))


def _search_max(field: CavityField, inverse_beta: Array, strength: Array, centre: Array) -> Array:
    """Offset in (0, pi) from ``centre`` at which the gain is largest: grid, refined tenfold eight times.

    By the antisymmetry of the two gaps the maximum lies a quarter period behind the crossing of the middle.
    """
    g = 1 / np.sqrt(1 - inverse_beta**-2)
    best = np.full(inverse_beta.shape, 0.5 * np.pi)
    width = np.pi
    for _ in range(9):
        trial = best[..., None] + np.linspace(-0.5, 0.5, 21) * width
        gain = energy_gain(field, g[..., None], strength[..., None], centre[..., None] + trial)
        best = np.take_along_axis(trial, gain.argmax(-1)[..., None], -1)[..., 0]
        width /= 8.0
    return best
