"""Solenoid with a corrector wound on it: soft field profiles, integrated once, then polynomials.

In the Larmor frame a solenoid focuses both planes alike, so a complex pair U = (u, u') with u = x + iy and a
2x2 matrix describe it (Wangler, RF Linear Accelerators, 2nd ed., ch. 7)::

    kappa(z) = B(z) / (2 B rho)     w'' = -kappa(z)^2 w     u = w exp(-i theta),  theta = int kappa dz

The matrix is even in kappa, the corrector's response g has an even real and an odd imaginary part; both are smooth,
so a polynomial in kappa^2, fitted to one fine integration, reproduces them to better than 1e-9.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from simulators.beam import Array, ComplexArray

KAPPA_MAX = 10.0
"""largest fitted kappa, 1/m: 7 T at B rho = 0.35 T m, twice what CAFe II uses"""
DEGREE = 9
N_STEPS = 690
"""0.5 mm steps over the 345 mm of the map"""

Profile = Callable[[Array], Array]


@dataclass(frozen=True)
class SechProfile:
    """f(s) = sech(s / width): what the CAFe II solenoid maps look like (width 26 mm)."""

    width_m: float

    def __call__(self, s: Array) -> Array:
        """Relative field at distance s (m) from the centre, 1 at the centre."""
        return np.asarray(1.0 / np.cosh(s / self.width_m))


@dataclass(frozen=True)
class TanhProfile:
    """Flat top with soft edges: 0.5 [tanh((s+h)/w) - tanh((s-h)/w)] / tanh(h/w), 1 at the centre."""

    half_length_m: float
    edge_m: float

    def __call__(self, s: Array) -> Array:
        """Relative field at distance s (m) from the centre, 1 at the centre."""
        h, w = self.half_length_m, self.edge_m
        return np.asarray(0.5 * (np.tanh((s + h) / w) - np.tanh((s - h) / w)) / np.tanh(h / w))

    @property
    def integral_m(self) -> float:
        """Integral of the profile over s, m."""
        return 2.0 * self.half_length_m / float(np.tanh(self.half_length_m / self.edge_m))


@dataclass(frozen=True)
class SolenoidMap:
    """Transfer map of the solenoid and response of its corrector as polynomials in x = kappa^2.

    Attributes:
        length_m: length of the map.
        theta_per_kappa_m: int f dz, so that the rotation is theta = kappa * theta_per_kappa_m.
        matrix: coefficients of (M11, M12, M21, M22), shape (4, DEGREE + 1), lowest power first.
        kick: coefficients of (Re g1, Im g1 / kappa, Re g2, Im g2 / kappa), shape (4, DEGREE + 1): position and
            slope behind the map of a corrector that bends by 1 rad in x, in the laboratory frame.
    """

    length_m: float
    theta_per_kappa_m: float
    matrix: Array
    kick: Array

    def evaluate(self, kappa: Array) -> tuple[Array, ComplexArray, ComplexArray]:
        """Larmor-frame matrix (..., 2, 2), rotation exp(-i theta) (...,) and kick response (..., 2).

        Args:
            kappa: B0 / (2 B rho) with sign, 1/m, shape (...,); |kappa| <= KAPPA_MAX.
        """
        x = kappa * kappa
        matrix = np.stack([polynomial.polyval(x, c) for c in self.matrix], axis=-1).reshape(*x.shape, 2, 2)
        re1, im1, re2, im2 = (polynomial.polyval(x, c) for c in self.kick)
        kick = np.stack([re1 + 1j * kappa * im1, re2 + 1j * kappa * im2], axis=-1)
        return matrix, np.exp(-1j * kappa * self.theta_per_kappa_m), kick


def fit_solenoid(profile: Profile, corrector: TanhProfile, length_m: float, centre_m: float) -> SolenoidMap:
    """Integrate the profile for Chebyshev nodes of kappa^2 and fit the map.

    Args:
        profile: relative field of the solenoid around its centre.
        corrector: relative field of the corrector, same centre; normalised to integral 1 here.
        length_m: length of the map, m.
        centre_m: centre of both fields from the start of the map, m.
    """
    nodes = chebyshev.chebpts1(2 * DEGREE + 2)
    x = 0.5 * KAPPA_MAX**2 * (nodes + 1.0)
    h = length_m / N_STEPS
    z_mid = np.asarray((np.arange(N_STEPS) + 0.5) * h - centre_m, dtype=np.float64)
    f = profile(z_mid)
    bend = corrector(z_mid) / corrector.integral_m * h
    theta_per_kappa = float(f.sum() * h)
    matrix, kick = _integrate(np.sqrt(x), f, bend, h, theta_per_kappa)
    kappa = np.sqrt(x)
    rows_matrix = [matrix[:, i, j] for i in (0, 1) for j in (0, 1)]
    rows_kick = [kick[:, 0].real, kick[:, 0].imag / kappa, kick[:, 1].real, kick[:, 1].imag / kappa]
    return SolenoidMap(length_m, theta_per_kappa, _fit(x, rows_matrix), _fit(x, rows_kick))


def _fit(x: Array, rows: list[Array]) -> Array:
    domain = (0.0, KAPPA_MAX**2)
    fits = [chebyshev.Chebyshev.fit(x, row, DEGREE, domain=domain) for row in rows]
    return np.array(
        [_padded(np.asarray(fit.convert(kind=polynomial.Polynomial).coef, dtype=np.float64)) for fit in fits]
    )


def _padded(coefficients: Array) -> Array:
    return np.pad(coefficients, (0, DEGREE + 1 - len(coefficients)))


def _integrate(kappa: Array, f: Array, bend: Array, h: float, theta_per_kappa: float) -> tuple[Array, ComplexArray]:
    """Slice by slice: constant focusing inside a slice (exact), the bend applied in its middle."""
    n = len(kappa)
    matrix = np.broadcast_to(np.eye(2), (n, 2, 2)).copy()
    kicked = np.zeros((n, 2), dtype=complex)
    theta = np.zeros(n)
    for k in range(len(f)):
        local = np.abs(kappa * f[k])
        half = _slice(local, 0.5 * h)
        theta += 0.5 * h * kappa * f[k]
        kicked = np.einsum("nij,nj->ni", half, kicked)
        kicked[:, 1] += bend[k] * np.exp(1j * theta)
        kicked = np.einsum("nij,nj->ni", half, kicked)
        matrix = half @ half @ matrix
        theta += 0.5 * h * kappa * f[k]
    return matrix, kicked * np.exp(-1j * kappa * theta_per_kappa)[:, None]


def _slice(kappa: Array, h: float) -> Array:
    phase = kappa * h
    sinc = np.sinc(phase / np.pi)
    return np.stack(
        [np.stack([np.cos(phase), h * sinc], -1), np.stack([-kappa * np.sin(phase), np.cos(phase)], -1)], -2
    )
