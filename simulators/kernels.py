"""Numba twins of ``build`` and ``step`` of :mod:`simulators.linac`: same arguments, same results.

The energy does not depend on the transverse motion, so a machine is built in two passes over the batch. The
first takes the reference particle through all resonators, ``LANES`` machines abreast: the stepped field is
nearly all of the work, and in this layout the compiler turns the innermost loop into SIMD instructions, 7
times faster than one machine after another (measured with AVX2). The second carries centroid, corrector
columns and envelope through the cells, one machine at a time.

One thread, the interpreter lock released. Compiled on first use and cached; the cache watches this file only,
so whatever other modules define comes in as an argument.
"""

import math
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from simulators.beam import C_M_S, Array, ComplexArray
from simulators.cavity import INVERSE_BETA, STRENGTH
from simulators.lattice import Lattice
from simulators.linac import Machines, Orbits

F = TypeVar("F", bound=Callable[..., object])
Scalar = TypeVar("Scalar", bound=np.generic)

LANES = 8
"""machines that pass a resonator together; 16 to 64 are no faster, and cost small batches more"""
MAPS = 4
"""entries of a resonator map: r_r, r_p, p_r, p_p in (r, r')"""

_TO_QUADRANT = 2.0 / math.pi
_HALF_PI_HI = 1.5707963267341256
"""pi/2 in two parts; the first has 33 bits, so its multiples are exact"""
_HALF_PI_LO = 6.077100506506192e-11


def _compiled(function: F) -> F:
    """Compile, releasing the interpreter lock; 1/0 is inf, as in NumPy, and not an exception."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _reordered(function: F) -> F:
    """As :func:`_compiled`, with sums added in any order and products fused, which makes them SIMD."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    return cast("F", numba.njit(cache=True, **options)(function))


def _inlined(function: F) -> F:
    """As :func:`_compiled`, for functions of one lane: inlined, so that the loop around becomes SIMD."""
    return cast("F", numba.njit(nogil=True, error_model="numpy", inline="always")(function))


def build(lattice: Lattice, machines: Machines) -> Orbits:
    """Track centroid, correctors and envelope through all cells; twin of :func:`simulators.linac.build`."""
    optics, solenoid, cavity = machines.optics, lattice.solenoid, lattice.cavity
    n, c = optics.solenoid_t.shape
    b, k = lattice.n_bpm, lattice.n_corrector
    orbits = Orbits(np.empty((n, 2 * b)), np.empty((n, 2 * b, k)), np.empty(n), np.empty((n, b)))
    mass, charge = _rows(optics.mass_ev), _rows(optics.charge)
    kinetic, maps = np.empty((n, c + 1)), np.empty((n, c, MAPS))
    _accelerate(
        mass, charge, _rows(optics.energy_ev), _rows(optics.cavity_v), _rows(optics.cavity_phase_rad),
        cavity.ez, cavity.dez, cavity.step_m, math.pi / cavity.wavelength_m, cavity.max_gain_phase,
        INVERSE_BETA, STRENGTH, kinetic, maps, orbits.exit_energy_ev,
    )  # fmt: skip
    beam = lattice.incoming
    _transport(
        mass, charge, kinetic, maps, _rows(optics.solenoid_t),
        _rows(machines.solenoid_offset_m), _rows(machines.corrector_tm_per_a), _rows(machines.incoming),
        lattice.drift_m, solenoid.matrix, solenoid.kick, solenoid.theta_per_kappa_m,
        lattice.corrector_cell, lattice.bpm_cell, beam.emittance_m, beam.rms_m, beam.divergence_rad,
        orbits.bare_m, orbits.response_m_per_a, orbits.rms_m,
    )  # fmt: skip
    return orbits


def step(orbits: Orbits, current_a: Array, out: Array | None = None) -> Array:
    """Orbit at the BPMs, m, shape (n, 2 b), for corrector currents in A, shape (n, k).

    Args:
        orbits: what :func:`build` returned.
        current_a: corrector currents.
        out: where to put the result, shape (n, 2 b), contiguous; a new array by default.
    """
    if current_a.shape != (len(orbits.bare_m), orbits.response_m_per_a.shape[2]):
        raise ValueError(
            f"currents have shape {current_a.shape}; {len(orbits.bare_m)} machines with "
            f"{orbits.response_m_per_a.shape[2]} correctors need one current each"
        )
    if out is None:
        out = np.empty(orbits.bare_m.shape)
    _step(_rows(orbits.bare_m), _rows(orbits.response_m_per_a), _rows(current_a), out)
    return out


def _rows(value: NDArray[Scalar]) -> NDArray[Scalar]:
    """Contiguous, so that one compiled version serves all."""
    return np.ascontiguousarray(value)


@_reordered
def _step(bare: Array, response: Array, current: Array, out: Array) -> None:
    n, rows, k = response.shape
    for m in range(n):
        drive = current[m]
        for b in range(rows // 2):
            row_x, row_y = response[m, 2 * b], response[m, 2 * b + 1]
            x, y = 0.0, 0.0
            for j in range(k):
                x += row_x[j] * drive[j]
                y += row_y[j] * drive[j]
            out[m, 2 * b], out[m, 2 * b + 1] = bare[m, 2 * b] + x, bare[m, 2 * b + 1] + y


@_inlined
def _sine_cosine(x: float) -> tuple[float, float]:
    """Sine and cosine, error below 3e-16 for |x| < 1e5, without branches.

    Reduction to |y| <= pi/4 in two parts (Cody and Waite 1980), then the Taylor series, whose first left-out
    terms are below 5e-17 there.
    """
    quadrant = np.floor(x * _TO_QUADRANT + 0.5)
    y = (x - quadrant * _HALF_PI_HI) - quadrant * _HALF_PI_LO
    z = y * y
    s = z * (-1 / 1307674368000) + 1 / 6227020800
    s = s * z - 1 / 39916800
    s = s * z + 1 / 362880
    s = s * z - 1 / 5040
    s = s * z + 1 / 120
    s = y + y * z * (s * z - 1 / 6)
    c = z * (1 / 20922789888000) - 1 / 87178291200
    c = c * z + 1 / 479001600
    c = c * z - 1 / 3628800
    c = c * z + 1 / 40320
    c = c * z - 1 / 720
    c = c * z + 1 / 24
    c = 1.0 - (0.5 * z - z * z * c)
    half = np.floor(0.5 * quadrant)
    odd = quadrant - 2.0 * half
    sign = 1.0 - 2.0 * (half - 2.0 * np.floor(0.5 * half))
    return sign * ((1.0 - odd) * s + odd * c), sign * ((1.0 - odd) * c - odd * s)


@_compiled
def _polynomial(x: float, coefficients: Array) -> float:
    """Horner's rule, lowest power first."""
    value = float(coefficients[-1])
    for i in range(len(coefficients) - 2, -1, -1):
        value = coefficients[i] + value * x
    return value


@_compiled
def _scaled(value: float, limits: tuple[float, float]) -> float:
    """Twin of :func:`simulators.cavity.scaled`."""
    return (2.0 * value - (limits[0] + limits[1])) / (limits[1] - limits[0])


@_compiled
def _entry_phase(x: float, y: float, coefficients: Array) -> float:
    """Phase of largest gain at the middle of the cavity, rad: the fit of :mod:`simulators.cavity`."""
    value = 0.0
    for i in range(coefficients.shape[0] - 1, -1, -1):
        value = _polynomial(y, coefficients[i]) + value * x
    return value


@_compiled
def _accelerate(
    mass: Array, charge: Array, energy: Array, voltage: Array, phase: Array,
    ez: Array, dez: Array, h: float, wave: float, max_gain: Array,
    inverse_beta: tuple[float, float], strengths: tuple[float, float],
    kinetic: Array, maps: Array, exit_energy: Array,
) -> None:  # fmt: skip
    """Fill ``kinetic`` (gamma - 1 in front of each cell and behind the last), ``maps``, ``exit_energy``."""
    n, c = voltage.shape
    middle = wave * h * len(ez)
    lane = np.empty(8 * LANES)
    for m in range(n):
        kinetic[m, 0] = energy[m] / mass[m]
    for first in range(0, n, LANES):
        for i in range(c):
            for j in range(LANES):
                m = min(first + j, n - 1)
                w = kinetic[m, i]
                per_bg = 1.0 / math.sqrt(w * (w + 2.0))
                slowness = (1.0 + w) * per_bg
                strength = charge[m] * voltage[m, i] / mass[m]
                x, y = _scaled(slowness, inverse_beta), _scaled(strength, strengths)
                start = _entry_phase(x, y, max_gain) - middle * slowness + phase[m, i]
                lane[j] = w
                lane[LANES + j] = slowness
                lane[2 * LANES + j] = strength
                lane[3 * LANES + j] = start + h * wave * slowness
                lane[4 * LANES + j], lane[5 * LANES + j] = 1.0, 0.5 * h
                lane[6 * LANES + j], lane[7 * LANES + j] = 0.0, 1.0 / per_bg
            _step_through(lane, ez, dez, h, wave)
            for j in range(min(LANES, n - first)):
                m = first + j
                w = lane[j]
                per_bg = 1.0 / math.sqrt(w * (w + 2.0))
                maps[m, i, 0] = lane[4 * LANES + j] - 0.5 * h * per_bg * lane[6 * LANES + j]
                maps[m, i, 1] = lane[5 * LANES + j] - 0.5 * h * per_bg * lane[7 * LANES + j]
                maps[m, i, 2] = lane[6 * LANES + j] * per_bg
                maps[m, i, 3] = lane[7 * LANES + j] * per_bg
                kinetic[m, i + 1] = w
    for m in range(n):
        exit_energy[m] = kinetic[m, c] * mass[m]


@_compiled
def _step_through(lane: Array, ez: Array, dez: Array, h: float, wave: float) -> None:
    """All steps of one resonator for ``LANES`` machines: see :func:`simulators.linac._resonator`.

    Args:
        lane: rows of LANES numbers: gamma - 1, 1/beta, strength, phase in the middle of the first step, r of
            the two unit rays, p of the two. One flat array: with several the compiler cannot rule out that
            they overlap, and gives up on SIMD.
        ez, dez, h, wave: field, its derivative, step, pi / wavelength.
    """
    for k in range(len(ez)):
        radial, magnetic, gain = -0.5 * h * dez[k], h * wave * ez[k], h * ez[k]
        for j in range(LANES):
            sine, cosine = _sine_cosine(lane[3 * LANES + j])
            strength = lane[2 * LANES + j]
            push = strength * (radial * cosine * lane[LANES + j] + magnetic * sine)
            p1 = lane[6 * LANES + j] + push * lane[4 * LANES + j]
            p2 = lane[7 * LANES + j] + push * lane[5 * LANES + j]
            w = lane[j] + strength * gain * cosine
            per_bg = 1.0 / np.sqrt(w * (w + 2.0))
            slowness = (1.0 + w) * per_bg
            lane[j] = w
            lane[LANES + j] = slowness
            lane[3 * LANES + j] += 2.0 * h * wave * slowness
            lane[4 * LANES + j] += h * per_bg * p1
            lane[5 * LANES + j] += h * per_bg * p2
            lane[6 * LANES + j] = p1
            lane[7 * LANES + j] = p2


@_compiled
def _transport(
    mass: Array, charge: Array, kinetic: Array, maps: Array, solenoid_t: Array,
    offset: ComplexArray, gain: ComplexArray, incoming: ComplexArray,
    drift: float, matrix: Array, kick: Array, theta_per_kappa: float,
    corrector_cell: NDArray[np.int64], bpm_cell: NDArray[np.int64],
    emittance: float, rms0: float, divergence: float,
    bare: Array, response: Array, rms: Array,
) -> None:  # fmt: skip
    """Fill ``bare``, ``response`` and ``rms``."""
    n, c = solenoid_t.shape
    ray = np.empty((c + 1, 2), dtype=np.complex128)
    at_end = np.empty((c, c + 1), dtype=np.complex128)
    rms_at_end = np.empty(c)
    fit = np.empty(8)
    for m in range(n):
        ray[:] = 0.0
        ray[0] = incoming[m]
        w = kinetic[m, 0]
        geometric = emittance / math.sqrt(w * (w + 2.0))
        s11, s12, s22 = rms0**2, rms0 * divergence, (geometric / rms0) ** 2 + divergence**2
        for i in range(c):
            w = kinetic[m, i]
            rho = mass[m] * math.sqrt(w * (w + 2.0)) / (C_M_S * charge[m])
            kappa = solenoid_t[m, i] / (2.0 * rho)
            _solenoid_fit(kappa * kappa, matrix, kick, fit)
            turn = complex(math.cos(kappa * theta_per_kappa), -math.sin(kappa * theta_per_kappa))
            a11, a12, a21, a22 = maps[m, i]
            u, d = offset[m, i] - turn * fit[0] * offset[m, i], -turn * fit[2] * offset[m, i]
            shift, tilt = a11 * u + a12 * d, a21 * u + a22 * d
            u, d = complex(fit[4], kappa * fit[5]) / rho, complex(fit[6], kappa * fit[7]) / rho
            bent, bend = a11 * u + a12 * d, a21 * u + a22 * d
            # resonator @ solenoid @ drift, all real
            r11, r21 = a11 * fit[0] + a12 * fit[2], a21 * fit[0] + a22 * fit[2]
            r12 = a11 * fit[1] + a12 * fit[3] + r11 * drift
            r22 = a21 * fit[1] + a22 * fit[3] + r21 * drift
            for j in range(i + 1):
                u, d = turn * ray[j, 0], turn * ray[j, 1]
                ray[j, 0], ray[j, 1] = r11 * u + r12 * d, r21 * u + r22 * d
            ray[0, 0] += shift
            ray[0, 1] += tilt
            ray[i + 1, 0], ray[i + 1, 1] = bent, bend
            t11, t12 = r11 * s11 + r12 * s12, r11 * s12 + r12 * s22
            t21, t22 = r21 * s11 + r22 * s12, r21 * s12 + r22 * s22
            s11, s12, s22 = t11 * r11 + t12 * r12, t11 * r21 + t12 * r22, t21 * r21 + t22 * r22
            rms_at_end[i] = math.sqrt(s11)
            at_end[i] = ray[:, 0]
        for b in range(len(bpm_cell)):
            seen = at_end[bpm_cell[b]]
            bare[m, 2 * b], bare[m, 2 * b + 1] = seen[0].real, seen[0].imag
            rms[m, b] = rms_at_end[bpm_cell[b]]
            for j in range(len(corrector_cell)):
                per_a = seen[1 + corrector_cell[j]] * gain[m, j]
                response[m, 2 * b, j], response[m, 2 * b + 1, j] = per_a.real, per_a.imag


@_compiled
def _solenoid_fit(x: float, matrix: Array, kick: Array, out: Array) -> None:
    """The four polynomials of the Larmor matrix and the four of the kick response at x = kappa^2."""
    degree = matrix.shape[1] - 1
    for r in range(4):
        out[r], out[4 + r] = matrix[r, degree], kick[r, degree]
    for i in range(degree - 1, -1, -1):
        for r in range(4):
            out[r] = matrix[r, i] + out[r] * x
            out[4 + r] = kick[r, i] + out[4 + r] * x
