"""Particles from the ion source through the low-energy beam transport to the entrance of the RFQ.

Two solenoids with a corrector pair behind each, drifts between, an entrance cone at the end. Coordinates are
u = x + iy and u' = dx/dz + i dy/dz in m, rad. What the model does:

* Solenoid: hard edge with the effective length int B^2 dz / B0^2, which keeps the focusing strength. In the
  Larmor frame it is a rotation-free channel with kappa = B / (2 B rho) (Wangler, RF Linear Accelerators, ch. 7);
  displaced ones act around their own axis.
* Spherical aberration: r'' = -kappa^2 r + kappa kappa'' r^3 / 2 is what the field of a rotationally symmetric coil
  does in third order. Across an edge kappa (1 + tanh(s / w)) / 2 the last term adds up to -kappa^2 r^3 / (6 w).
* Space charge: the unneutralised part of the current, as a uniform round beam of the rms radius that the surviving
  particles have there, centred on them: a linear kick per slice. It cannot deform the distribution.
* H2+ follows protons of the same energy with 1/sqrt(2) of every magnetic effect; it feels the field of the protons,
  which is linear inside their uniform beam and falls off with 1/r outside, and adds none of its own.

Particles pass in blocks of 256 in one flat float32 array, as in :mod:`simulators.rfq`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from simulators.beam import C_M_S, Array, beta_gamma, rigidity_tm
from simulators.rfq_design import PROTON_EV

F = TypeVar("F", bound=Callable[..., object])
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Complex = NDArray[np.complex128]

ALFVEN_A = 4.0 * math.pi * 8.8541878188e-12 * PROTON_EV * C_M_S
"""4 pi eps0 m c^3 / e of the proton, A"""
BLOCK = 256
H2_MAGNETIC = math.sqrt(0.5)
"""effect of a magnetic field on H2+ relative to protons of the same energy"""
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LENGTH, _KAPPA, _SLICES, _DX, _DY, _KICK_X, _KICK_Y, _APERTURE, _CUBIC = range(9)


@dataclass(frozen=True)
class LebtGeometry:
    """Lengths in m from source to RFQ: drift, solenoid, drift, solenoid, drift (an assumption, see the machine).

    Attributes:
        drift_m: in front of, between and behind the solenoids.
        solenoid_m: effective length of each solenoid.
        edge_m: w of the field's tanh edge, about the coil's inner radius / 2; sets the spherical aberration.
        pipe_m: inner radius of the beam pipe.
        cone_m: radius of the entrance cone in front of the RFQ.
        slice_m: longest slice between two space-charge kicks.
        energy_ev: kinetic energy.
    """

    drift_m: tuple[float, float, float] = (0.3, 0.5, 0.25)
    solenoid_m: float = 0.25
    edge_m: float = 0.03
    pipe_m: float = 0.04
    cone_m: float = 0.008
    slice_m: float = 0.05
    energy_ev: float = 35e3


@dataclass(frozen=True)
class Source:
    """The beam behind the extraction, alike in both planes.

    Attributes:
        emittance_m: normalised rms emittance per plane, m rad.
        alpha, beta_m: Twiss parameters.
        offset: centroid (u, u') in m, rad.
        current_a: proton current.
    """

    emittance_m: float = 0.2e-6
    alpha: float = -1.0
    beta_m: float = 0.06
    offset: tuple[complex, complex] = (0j, 0j)
    current_a: float = 1.5e-3


@dataclass(frozen=True)
class Optics:
    """Settings and errors of the two solenoids and the two corrector pairs.

    Attributes:
        solenoid_t: field of each solenoid, T.
        kick_rad: kick of each corrector pair, horizontal + i vertical.
        displacement_m: of each solenoid, dx + i dy.
    """

    solenoid_t: tuple[float, float]
    kick_rad: tuple[complex, complex] = (0j, 0j)
    displacement_m: tuple[complex, complex] = (0j, 0j)


@dataclass(frozen=True)
class Arrived:
    """Particles at the entrance of the RFQ, behind the cone.

    Attributes:
        position: (x, x', y, y') in m, rad, shape (4, n).
        alive: passed all apertures, shape (n,).
        field: per slice the space-charge kick 1/m, its centre x, y in m, and the squared radius of the uniform beam
            that makes it in m^2, shape (slices, 4).
    """

    position: Floats
    alive: Mask
    field: Floats


def source_particles(source: Source, normal: Array, energy_ev: float) -> Floats:
    """(x, x', y, y') in m, rad of a Gaussian beam, shape (4, n), from standard normal numbers of that shape."""
    emittance = source.emittance_m / float(beta_gamma(energy_ev, PROTON_EV))
    size, slope = math.sqrt(emittance * source.beta_m), math.sqrt(emittance / source.beta_m)
    (u, d), a = source.offset, source.alpha
    x, xp = size * normal[0] + u.real, slope * (normal[1] - a * normal[0]) + d.real
    y, yp = size * normal[2] + u.imag, slope * (normal[3] - a * normal[2]) + d.imag
    return np.stack([x, xp, y, yp]).astype(np.float32)


def perveance(current_a: float, energy_ev: float) -> float:
    """Generalised perveance 2 I / (I_A (beta gamma)^3) of a proton beam, so that r'' = K / r at its edge."""
    return 2.0 * current_a / (ALFVEN_A * float(beta_gamma(energy_ev, PROTON_EV)) ** 3)


def transport(
    geometry: LebtGeometry, optics: Optics, start: Floats, unneutralised_a: float, follow: Floats | None = None
) -> Arrived:
    """Take particles from the source to the RFQ.

    Args:
        geometry: lengths and apertures.
        optics: what the magnets do.
        start: (x, x', y, y') behind the source, shape (4, n).
        unneutralised_a: part of the current whose space charge acts.
        follow: ``field`` of the protons when these are H2+; the protons' own field otherwise.
    """
    rows = elements(
        geometry, np.array(optics.solenoid_t), np.array(optics.kick_rad), np.array(optics.displacement_m),
        1.0 if follow is None else H2_MAGNETIC,
    )  # fmt: skip
    field = np.empty((n_slice(rows), 4), dtype=np.float32) if follow is None else follow
    n = start.shape[1]
    blocks = -(-n // BLOCK)
    padded = np.zeros((5, blocks * BLOCK), dtype=np.float32)
    padded[:4, :n], padded[4, :n] = start, 1.0
    lanes = padded.reshape(5, blocks, BLOCK).swapaxes(0, 1).reshape(blocks, -1)
    k = perveance(unneutralised_a, geometry.energy_ev)
    move(lanes, rows, k, n, field, follow is not None)
    end = lanes.reshape(blocks, 5, BLOCK).swapaxes(0, 1).reshape(5, -1)[:, :n]
    return Arrived(end[:4], end[4] > 0.0, field)


def elements(g: LebtGeometry, solenoid_t: Array, kick_rad: Complex, displacement_m: Complex, magnetic: float) -> Array:
    """One row per element for the kernel: channel, then corrector, then aperture.

    Args:
        g: lengths and apertures.
        solenoid_t: of both solenoids, shape (..., 2).
        kick_rad: of both corrector pairs, horizontal + i vertical, shape (..., 2).
        displacement_m: of both solenoids, dx + i dy, shape (..., 2).
        magnetic: magnetic effects relative to those on protons.

    Returns:
        Shape (..., 5, 9).
    """
    rho = float(rigidity_tm(g.energy_ev, PROTON_EV, 1.0))
    rows = np.zeros((*solenoid_t.shape[:-1], 5, 9))
    rows[..., _LENGTH] = g.drift_m[0], g.solenoid_m, g.drift_m[1], g.solenoid_m, g.drift_m[2]
    rows[..., _SLICES] = np.ceil(rows[..., _LENGTH] / g.slice_m - 1e-9)
    rows[..., _APERTURE] = g.pipe_m
    rows[..., 4, _APERTURE] = g.cone_m
    magnets = rows[..., 1::2, :]
    magnets[..., _KAPPA] = magnetic * solenoid_t / (2.0 * rho)
    magnets[..., _CUBIC] = magnets[..., _KAPPA] ** 2 / (6.0 * g.edge_m)
    magnets[..., _DX], magnets[..., _DY] = displacement_m.real, displacement_m.imag
    magnets[..., _KICK_X], magnets[..., _KICK_Y] = magnetic * kick_rad.real, magnetic * kick_rad.imag
    return rows


def n_slice(elements: Array) -> int:
    """Number of space-charge kicks on the way."""
    return int(elements[..., _SLICES].sum(axis=-1).max())


def _simd(function: F) -> F:
    """Compile with sums in any order and products fused, which makes the loops SIMD."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    return cast("F", numba.njit(cache=True, **options)(function))


@_simd
def move(lanes: Floats, elements: Array, k: float, n: int, field: Floats, follow: bool) -> None:
    """Move ``lanes``, shape (blocks, 5 * BLOCK): x, x', y, y', alive of each block; fill or use ``field``."""
    slice_index = 0
    for e in range(len(elements)):
        length, kappa, cubic = elements[e, _LENGTH], elements[e, _KAPPA], np.float32(elements[e, _CUBIC])
        count = int(elements[e, _SLICES])
        dx, dy = np.float32(elements[e, _DX]), np.float32(elements[e, _DY])
        h = 0.5 * length / count
        c, s = math.cos(kappa * h), math.sin(kappa * h)
        m11, m12 = np.float32(c), np.float32(s / kappa if kappa != 0.0 else h)
        m21 = np.float32(-s * kappa)
        for b in range(len(lanes)):
            _enter(lanes[b], dx, dy, cubic)
        for _ in range(count):
            alive, sx, sy, square = 0.0, 0.0, 0.0, 0.0
            for b in range(len(lanes)):
                da, dsx, dsy, dsq = _half(lanes[b], m11, m12, m21)
                alive, sx, sy, square = alive + da, sx + dsx, sy + dsy, square + dsq
            if not follow:
                weight = 1.0 / max(alive, 1.0)
                sx, sy = sx * weight, sy * weight
                spread = square * weight - sx * sx - sy * sy
                strength = k * alive / n * 2.0 * h / (2.0 * spread) if spread > 1e-12 else 0.0
                field[slice_index, 0] = strength
                field[slice_index, 1], field[slice_index, 2] = sx + dx, sy + dy
                field[slice_index, 3] = max(2.0 * spread, 1e-12)
            strength32 = field[slice_index, 0]
            x0, y0 = field[slice_index, 1] - dx, field[slice_index, 2] - dy
            for b in range(len(lanes)):
                if follow:
                    _weaken_half(lanes[b], strength32, x0, y0, field[slice_index, 3], m11, m12, m21)
                else:
                    _kick_half(lanes[b], strength32, x0, y0, m11, m12, m21)
            slice_index += 1
        turn = kappa * length
        for b in range(len(lanes)):
            _leave(
                lanes[b], dx, dy, cubic, np.float32(math.cos(turn)), np.float32(math.sin(turn)),
                np.float32(elements[e, _KICK_X]), np.float32(elements[e, _KICK_Y]),
                np.float32(elements[e, _APERTURE] ** 2),
            )  # fmt: skip


@_simd
def _enter(lane: Floats, dx: np.float32, dy: np.float32, cubic: np.float32) -> None:
    """Coordinates relative to the element's axis, and the aberration of its first edge."""
    for j in range(BLOCK):
        x, y = lane[j] - dx, lane[2 * BLOCK + j] - dy
        bend = cubic * (x * x + y * y)
        lane[j], lane[2 * BLOCK + j] = x, y
        lane[BLOCK + j] -= bend * x
        lane[3 * BLOCK + j] -= bend * y


@_simd
def _half(lane: Floats, m11: np.float32, m12: np.float32, m21: np.float32) -> tuple[float, float, float, float]:
    """Half a slice; the number of live particles and their sums of x, y and x^2 + y^2."""
    alive, sx, sy, square = _ZERO, _ZERO, _ZERO, _ZERO
    for j in range(BLOCK):
        x, xp, y, yp = lane[j], lane[BLOCK + j], lane[2 * BLOCK + j], lane[3 * BLOCK + j]
        lane[BLOCK + j], lane[3 * BLOCK + j] = m21 * x + m11 * xp, m21 * y + m11 * yp
        x, y = m11 * x + m12 * xp, m11 * y + m12 * yp
        lane[j], lane[2 * BLOCK + j] = x, y
        weight = lane[4 * BLOCK + j]
        alive += weight
        sx += weight * x
        sy += weight * y
        square += weight * (x * x + y * y)
    return float(alive), float(sx), float(sy), float(square)


@_simd
def _kick_half(
    lane: Floats, strength: np.float32, x0: np.float32, y0: np.float32,
    m11: np.float32, m12: np.float32, m21: np.float32,
) -> None:  # fmt: skip
    """The space-charge kick of the slice around (x0, y0), then its second half."""
    for j in range(BLOCK):
        x, y = lane[j], lane[2 * BLOCK + j]
        xp = lane[BLOCK + j] + strength * (x - x0)
        yp = lane[3 * BLOCK + j] + strength * (y - y0)
        lane[BLOCK + j], lane[3 * BLOCK + j] = m21 * x + m11 * xp, m21 * y + m11 * yp
        lane[j], lane[2 * BLOCK + j] = m11 * x + m12 * xp, m11 * y + m12 * yp


@_simd
def _weaken_half(
    lane: Floats, strength: np.float32, x0: np.float32, y0: np.float32, square: np.float32,
    m11: np.float32, m12: np.float32, m21: np.float32,
) -> None:  # fmt: skip
    """As :func:`_kick_half`, for particles that may be outside of the beam of squared radius ``square``: 1/r there."""
    for j in range(BLOCK):
        x, y = lane[j], lane[2 * BLOCK + j]
        dx, dy = x - x0, y - y0
        kick = strength * (square / max(dx * dx + dy * dy, square))
        xp, yp = lane[BLOCK + j] + kick * dx, lane[3 * BLOCK + j] + kick * dy
        lane[BLOCK + j], lane[3 * BLOCK + j] = m21 * x + m11 * xp, m21 * y + m11 * yp
        lane[j], lane[2 * BLOCK + j] = m11 * x + m12 * xp, m11 * y + m12 * yp


@_simd
def _leave(
    lane: Floats, dx: np.float32, dy: np.float32, cubic: np.float32, cosine: np.float32, sine: np.float32,
    kick_x: np.float32, kick_y: np.float32, square: np.float32,
) -> None:  # fmt: skip
    """Second edge, turn from the Larmor frame, back to the beam line's axis, corrector, aperture."""
    for j in range(BLOCK):
        x, y = lane[j], lane[2 * BLOCK + j]
        bend = cubic * (x * x + y * y)
        xp, yp = lane[BLOCK + j] - bend * x, lane[3 * BLOCK + j] - bend * y
        x, y = cosine * x + sine * y + dx, cosine * y - sine * x + dy
        lane[BLOCK + j], lane[3 * BLOCK + j] = cosine * xp + sine * yp + kick_x, cosine * yp - sine * xp + kick_y
        lane[j], lane[2 * BLOCK + j] = x, y
        lane[4 * BLOCK + j] = lane[4 * BLOCK + j] if x * x + y * y < square else _ZERO
