"""The check machine: single particles through the fields themselves, 4th-order Runge-Kutta along z.

Nothing here uses the transfer maps, their fits or the stepped resonator: fields come from their profiles on
the axis, expanded to third order in r. Slow (0.1 s per machine, less in a batch); it exists to bound the
linear model's error.

All fields of a cell act along the whole cell, except the resonator's, which ends where its map ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from simulators.beam import C_M_S, Array, ComplexArray
from simulators.elements import Profile, TanhProfile
from simulators.linac import Machines

RADIUS_M = 0.008
"""radius of the circle on which profiles are sampled for their derivatives; nearest pole at 31 mm"""
N_CIRCLE = 24
SEARCH_RAD = (np.pi, 0.4, 0.05)
"""half-widths of the three searches for the phase of largest gain"""
TRIALS = np.linspace(-1.0, 1.0, 17)

Analytic = Callable[[ComplexArray], ComplexArray]


@dataclass(frozen=True)
class CellFields:
    """Geometry and profiles of ``c`` equal cells: drift, solenoid with corrector pair, resonator, BPM.

    Attributes:
        drift_m: drift in front of the solenoid map.
        solenoid: relative field on the axis around its centre; an analytic function.
        solenoid_length_m: length of the solenoid map.
        solenoid_centre_m: centre of solenoid and correctors from the start of the solenoid map.
        corrector: relative field of a corrector on the axis.
        cavity_length_m: length of the resonator map, right behind the solenoid map.
        gap_distance_m: distance of the two Gaussian gaps, of opposite sign.
        gap_rms_m: rms width of each gap.
        wavelength_m: RF wavelength.
        corrector_cell: cell index of each corrector, shape (k,).
        bpm_cell: cell index of each BPM, shape (b,).
    """

    drift_m: float
    solenoid: Profile
    solenoid_length_m: float
    solenoid_centre_m: float
    corrector: TanhProfile
    cavity_length_m: float
    gap_distance_m: float
    gap_rms_m: float
    wavelength_m: float
    corrector_cell: NDArray[np.int64]
    bpm_cell: NDArray[np.int64]

    @property
    def cavity_start_m(self) -> float:
        """Start of the resonator map from the start of the cell."""
        return self.drift_m + self.solenoid_length_m

    @property
    def length_m(self) -> float:
        """Length of a cell."""
        return self.cavity_start_m + self.cavity_length_m

    def gaps(self, s: ComplexArray) -> ComplexArray:
        """E_z on the axis, 1/m, for int |E_z| dz = 1, at distance s from the middle of the resonator."""
        centre, width = 0.5 * self.gap_distance_m, self.gap_rms_m
        shape = np.exp(-0.5 * ((s + centre) / width) ** 2) - np.exp(-0.5 * ((s - centre) / width) ** 2)
        return np.asarray(shape / (2.0 * np.sqrt(2.0 * np.pi) * width))


class _Tables(NamedTuple):
    """Profiles and their derivatives 0 to 3 on the axis, one row per half step, shape (2 steps + 1, 4)."""

    step_m: float
    solenoid: Array
    corrector: Array
    cavity: Array


class _Particles(NamedTuple):
    """What acts on ``n`` particles in one cell, each shape (n,).

    Attributes:
        per_volt: (q/A) / mc^2, 1/V.
        solenoid_t: peak field.
        offset_m: displacement of the solenoid, dx + i dy.
        corrector_tm: integrated transverse field B_x + i B_y, T m.
        voltage: int |E_z| dz of the resonator, V.
    """

    per_volt: Array
    solenoid_t: Array
    offset_m: ComplexArray
    corrector_tm: ComplexArray
    voltage: Array


class Track(NamedTuple):
    """Orbit at the BPMs, m, shape (n, 2 b), and kinetic energy per nucleon at the exit, eV, shape (n,)."""

    orbit_m: Array
    exit_energy_ev: Array


def track(fields: CellFields, machines: Machines, current_a: Array, step_m: float = 0.002) -> Track:
    """Carry the centroid of each machine through the fields, beside a reference particle on the axis.

    The reference particle sets the RF phase: at the entry of each resonator it has the synchronous phase,
    counted from the phase at which it would gain most there.

    Args:
        fields: the cells.
        machines: ``n`` machines.
        current_a: corrector currents, shape (n, k).
        step_m: longest integration step.
    """
    optics, n = machines.optics, len(machines)
    front = _tables(fields, 0.0, fields.cavity_start_m, step_m)
    behind = _tables(fields, fields.cavity_start_m, fields.length_m, step_m)
    bend = machines.corrector_tm_per_a * current_a
    state = np.zeros((6, 2 * n))
    u, slope = machines.incoming[:, 0], machines.incoming[:, 1]
    w = optics.energy_ev / optics.mass_ev
    axial = np.sqrt(w * (w + 2.0) / (1.0 + np.abs(slope) ** 2))
    state[:4, :n] = u.real, u.imag, slope.real * axial, slope.imag * axial
    state[4] = np.tile(w, 2)
    seen = np.empty((n, optics.n_cell, 2))
    for i in range(optics.n_cell):
        # a bend to +x needs a field along -y, a bend to +y one along +x
        field = -1j * bend[:, fields.corrector_cell == i].sum(axis=1)
        both = _Particles(
            np.tile(optics.charge / optics.mass_ev, 2),
            np.tile(optics.solenoid_t[:, i], 2),
            np.concatenate([machines.solenoid_offset_m[:, i], np.zeros(n)]),
            np.concatenate([field, np.zeros(n)]),
            np.tile(optics.cavity_v[:, i], 2),
        )
        state = _advance(fields, front, both, state)
        entry = _max_gain_phase(fields, behind, both, state[4, n:]) + optics.cavity_phase_rad[:, i]
        state[5] += np.tile(entry - state[5, n:], 2)
        state = _advance(fields, behind, both, state)
        seen[:, i] = state[:2, :n].T
    return Track(seen[:, fields.bpm_cell].reshape(n, -1), state[4, :n] * optics.mass_ev)


def _max_gain_phase(fields: CellFields, behind: _Tables, particles: _Particles, w: Array) -> Array:
    """Phase at the resonator's entry with which an on-axis particle gains most, rad, shape (n,)."""
    n, best = len(w), np.zeros(len(w))
    for half_width in SEARCH_RAD:
        trial = half_width * TRIALS
        phase = best[:, None] + trial
        state = np.zeros((6, phase.size))
        state[4], state[5] = np.repeat(w, len(trial)), phase.ravel()
        gain = _advance(fields, behind, _repeated(particles, n, len(trial)), state)[4].reshape(phase.shape)
        best = phase[np.arange(n), gain.argmax(axis=1)]
    # vertex of a parabola through the last round
    _, linear, square = np.polynomial.polynomial.polyfit(TRIALS, (gain - gain[:, :1]).T, 2)
    vertex = np.clip(-0.5 * linear / np.minimum(square, -1e-300), -1.0, 1.0)
    return np.asarray(phase[:, len(TRIALS) // 2] + half_width * vertex)


def _repeated(particles: _Particles, last: int, times: int) -> _Particles:
    """The ``last`` particles, each ``times`` times in a row."""
    rows = np.repeat(np.arange(-last, 0), times)
    a, b, c, d, e = particles
    return _Particles(a[rows], b[rows], c[rows], d[rows], e[rows])


def _advance(fields: CellFields, tables: _Tables, particles: _Particles, state: Array) -> Array:
    """Runge-Kutta over all rows of the tables, two rows a step."""
    h, wave = tables.step_m, 2.0 * np.pi / fields.wavelength_m

    def slope(row: int, at: Array) -> Array:
        here = tables.solenoid[row], tables.corrector[row], tables.cavity[row]
        return _slope(particles, *here, wave, at)

    for k in range(0, len(tables.solenoid) - 1, 2):
        k1 = slope(k, state)
        k2 = slope(k + 1, state + 0.5 * h * k1)
        k3 = slope(k + 1, state + 0.5 * h * k2)
        k4 = slope(k + 2, state + h * k3)
        state = state + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return state


def _slope(particles: _Particles, solenoid: Array, corrector: Array, cavity: Array, wave: float, state: Array) -> Array:
    """d/dz of (x, y, beta_x gamma, beta_y gamma, gamma - 1, RF phase): Lorentz force, SI fields."""
    x, y, ux, uy, w, phase = state
    uz = np.sqrt(w * (w + 2.0) - ux**2 - uy**2)
    bx, by, bz = _magnetic(particles, solenoid, corrector, x, y)
    ex = ey = ez = np.zeros_like(x)
    if cavity.any():
        ex, ey, ez, rf_bx, rf_by = _resonator(particles, cavity, wave, x, y, phase)
        bx, by = bx + rf_bx, by + rf_by
    per_v, g = particles.per_volt / uz, 1.0 + w
    return np.stack(
        [
            ux / uz,
            uy / uz,
            per_v * (g * ex + C_M_S * (uy * bz - uz * by)),
            per_v * (g * ey + C_M_S * (uz * bx - ux * bz)),
            per_v * (ux * ex + uy * ey + uz * ez),
            wave * g / uz,
        ]
    )


def _magnetic(
    particles: _Particles, solenoid: Array, corrector: Array, x: Array, y: Array
) -> tuple[Array, Array, Array]:
    """Field of the displaced solenoid, and of the corrector pair (a dipole's potential, same order), T."""
    b, b1, b2, b3 = (derivative * particles.solenoid_t for derivative in solenoid)
    dx, dy = x - particles.offset_m.real, y - particles.offset_m.imag
    square = dx**2 + dy**2
    radial = -0.5 * b1 + square / 16.0 * b3
    f, f1, f2, _ = corrector
    fx, fy = particles.corrector_tm.real, particles.corrector_tm.imag
    along, core = fx * x + fy * y, f - f2 * (x**2 + y**2) / 8.0
    return (
        radial * dx + fx * core - 0.25 * f2 * along * x,
        radial * dy + fy * core - 0.25 * f2 * along * y,
        b - 0.25 * square * b2 + f1 * along,
    )


def _resonator(
    particles: _Particles, cavity: Array, wave: float, x: Array, y: Array, phase: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """E_x, E_y, E_z in V/m and B_x, B_y in T of a TM mode at an RF phase; ``wave`` = 2 pi / wavelength."""
    e, e1, e2, e3 = (derivative * particles.voltage for derivative in cavity)
    square, cosine = x**2 + y**2, np.cos(phase)
    ez = (e - 0.25 * square * (e2 + wave**2 * e)) * cosine
    radial = (-0.5 * e1 + square / 16.0 * (e3 + wave**2 * e1)) * cosine
    around = -wave / C_M_S * (0.5 * e - square / 16.0 * (e2 + wave**2 * e)) * np.sin(phase)
    return radial * x, radial * y, ez, -around * y, around * x


def _tables(fields: CellFields, start: float, end: float, step_m: float) -> _Tables:
    z, half_step = np.linspace(start, end, 2 * int(np.ceil((end - start) / step_m)) + 1, retstep=True)
    magnet = z - fields.drift_m - fields.solenoid_centre_m
    middle = z - fields.cavity_start_m - 0.5 * fields.cavity_length_m
    inside = start >= fields.cavity_start_m
    return _Tables(
        2.0 * float(half_step),
        _derivatives(cast("Analytic", fields.solenoid), magnet),
        _derivatives(cast("Analytic", fields.corrector), magnet) / fields.corrector.integral_m,
        _derivatives(fields.gaps, middle) * inside,
    )


def _derivatives(profile: Analytic, s: Array) -> Array:
    """Derivatives 0 to 3 of an analytic function by Cauchy's integral on a circle, shape (len(s), 4)."""
    turn = np.exp(2j * np.pi * np.arange(N_CIRCLE) / N_CIRCLE)
    values = profile(s[:, None] + RADIUS_M * turn)
    columns = [(values * turn**-k).mean(axis=1).real for k in range(4)]
    return np.asarray(np.stack(columns, axis=1) * np.array([1.0, 1.0, 2.0, 6.0]) / RADIUS_M ** np.arange(4))
