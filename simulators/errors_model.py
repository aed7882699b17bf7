"""How a machine differs from its description: drawn once per machine from a ``numpy.random.Generator``.

All numbers are drawn in a fixed order whatever their size, so the same seed gives the same misalignments in
every scenario and scenarios can be compared machine by machine.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulators.beam import Array, ComplexArray
from simulators.lattice import Lattice, Optics
from simulators.linac import Machines, Orbits, perfect

Mask = NDArray[np.bool_]

WEAK = (0.2, 0.6)
"""remaining strength of a weak corrector (2017: DCH_04 at one half, DCH_05 and DCV_05 below)"""


@dataclass(frozen=True)
class ErrorSpec:
    """Half-widths of uniform distributions, and how many faults of each kind a machine has.

    Attributes:
        solenoid_offset_m: displacement of each solenoid in x and in y, m.
        incoming_m: centroid at the entrance, m.
        incoming_rad: slope at the entrance, rad.
        solenoid_common: relative field error shared by all solenoids of a module.
        solenoid_each: relative field error of each solenoid on its own.
        calibration: relative error of each corrector's integrated field.
        cavity_voltage: relative error of each resonator.
        cavity_phase_rad: phase error of each resonator, rad.
        energy: relative error of the incoming kinetic energy.
        initial_a: corrector currents found at the start, A.
        bpm_offset_m: offset of each BPM channel, m.
        bpm_noise_m: rms noise of a machine's BPM readings is drawn from this interval, m.
        reversed_correctors, crossed_pairs, dead_correctors, weak_correctors, dead_bpms: counts.
        swapped_correctors: number of exchanges of two correctors of different cells; 0 or 1.
        reversed_channels: number of BPM channels with the wrong sign.
    """

    solenoid_offset_m: float = 0.0
    incoming_m: float = 0.0
    incoming_rad: float = 0.0
    solenoid_common: float = 0.0
    solenoid_each: float = 0.0
    calibration: float = 0.0
    cavity_voltage: float = 0.0
    cavity_phase_rad: float = 0.0
    energy: float = 0.0
    initial_a: float = 0.0
    bpm_offset_m: float = 0.0
    bpm_noise_m: tuple[float, float] = (0.0, 0.0)
    reversed_correctors: int = 0
    crossed_pairs: int = 0
    dead_correctors: int = 0
    weak_correctors: int = 0
    dead_bpms: int = 0
    swapped_correctors: int = 0
    reversed_channels: int = 0


@dataclass(frozen=True)
class Errors:
    """Errors of ``n`` machines with ``c`` cells, ``k`` correctors, ``b`` BPMs.

    Attributes:
        solenoid_offset_m: dx + i dy, shape (n, c).
        solenoid_scale, cavity_scale: factors, shape (n, c).
        cavity_phase_rad: added to the phase, shape (n, c).
        energy_scale: factor, shape (n,).
        corrector: complex factor; negative where reversed, +-i where crossed, 0 where dead; shape (n, k).
        incoming: u, u' in m, rad, shape (n, 2).
        initial_a: corrector currents at the start, A, shape (n, k).
        bpm_offset_m: shape (n, 2 b).
        bpm_noise_m: rms of one reading, shape (n,).
        dead_channel: BPM channels that read a constant 0, shape (n, 2 b).
        magnet: which magnet each supply drives, its own index unless swapped, shape (n, k).
        channel_sign: -1 for BPM channels that read with the wrong sign, shape (n, 2 b).
    """

    solenoid_offset_m: ComplexArray
    solenoid_scale: Array
    cavity_scale: Array
    cavity_phase_rad: Array
    energy_scale: Array
    corrector: ComplexArray
    incoming: ComplexArray
    initial_a: Array
    bpm_offset_m: Array
    bpm_noise_m: Array
    dead_channel: Mask
    magnet: NDArray[np.int64]
    channel_sign: Array

    def __len__(self) -> int:
        return len(self.energy_scale)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The given rows."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def draw(lattice: Lattice, n_cell: int, spec: ErrorSpec, rng: np.random.Generator, n: int) -> Errors:
    """Errors of ``n`` machines.

    Args:
        lattice: tells how many correctors and BPMs there are, and which form pairs.
        n_cell: number of cells.
        spec: sizes.
        rng: the only source of randomness.
        n: number of machines.
    """
    k, b2 = lattice.n_corrector, 2 * lattice.n_bpm

    def plane_pair(half_width: float, *shape: int) -> ComplexArray:
        return np.asarray(half_width * (_uniform(rng, n, *shape) + 1j * _uniform(rng, n, *shape)))

    offset = plane_pair(spec.solenoid_offset_m, n_cell)
    incoming = np.stack([plane_pair(spec.incoming_m), plane_pair(spec.incoming_rad)], -1)
    common = 1 + spec.solenoid_common * _uniform(rng, n, 1)
    each = 1 + spec.solenoid_each * _uniform(rng, n, n_cell)
    calibration = 1 + spec.calibration * _uniform(rng, n, k)
    cavity = 1 + spec.cavity_voltage * _uniform(rng, n, n_cell)
    phase = spec.cavity_phase_rad * _uniform(rng, n, n_cell)
    energy = 1 + spec.energy * _uniform(rng, n)
    initial = spec.initial_a * _uniform(rng, n, k)
    bpm_offset = spec.bpm_offset_m * _uniform(rng, n, b2)
    lo, hi = spec.bpm_noise_m
    noise = lo + (hi - lo) * rng.random(n)
    factor = _corrector_faults(lattice, spec, rng, n)
    dead = np.repeat(_chosen(rng, n, lattice.n_bpm, spec.dead_bpms), 2, axis=1)
    magnet = _wiring(lattice, spec, rng, n)
    sign = np.where(_chosen(rng, n, b2, spec.reversed_channels), -1.0, 1.0)
    return Errors(
        offset, common * each, cavity, phase, energy, calibration * factor, incoming, initial, bpm_offset, noise, dead,
        magnet, sign,
    )  # fmt: skip


def apply_errors(lattice: Lattice, optics: Optics, errors: Errors) -> Machines:
    """The machines as they really are, given what they are set to."""
    ideal = perfect(lattice, optics)
    true = replace(
        optics,
        energy_ev=optics.energy_ev * errors.energy_scale,
        solenoid_t=optics.solenoid_t * errors.solenoid_scale,
        cavity_v=optics.cavity_v * errors.cavity_scale,
        cavity_phase_rad=optics.cavity_phase_rad + errors.cavity_phase_rad,
    )
    return Machines(true, errors.solenoid_offset_m, ideal.corrector_tm_per_a * errors.corrector, errors.incoming)


def rewired(orbits: Orbits, errors: Errors) -> Orbits:
    """Orbits with the response per supply instead of per magnet: the same unless correctors are swapped."""
    response = np.take_along_axis(orbits.response_m_per_a, errors.magnet[:, None, :], axis=2)
    return replace(orbits, response_m_per_a=response)


def _uniform(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(-1.0, 1.0, shape)


def _chosen(rng: np.random.Generator, n: int, size: int, count: int) -> Mask:
    """Mark ``count`` random members of each row."""
    order = rng.random((n, size)).argsort(axis=1).argsort(axis=1)
    return np.asarray(order < count)


def _corrector_faults(lattice: Lattice, spec: ErrorSpec, rng: np.random.Generator, n: int) -> ComplexArray:
    k = lattice.n_corrector
    factor = np.ones((n, k), dtype=complex)
    factor[_chosen(rng, n, k, spec.reversed_correctors)] *= -1
    cells = np.unique(lattice.corrector_cell)
    crossed_cell = _chosen(rng, n, len(cells), spec.crossed_pairs)
    crossed = crossed_cell[:, np.searchsorted(cells, lattice.corrector_cell)]
    turn = np.where(lattice.corrector_plane == 0, 1j, -1j)
    factor = np.where(crossed, factor * turn, factor)
    weak = WEAK[0] + (WEAK[1] - WEAK[0]) * rng.random((n, k))
    factor = np.where(_chosen(rng, n, k, spec.weak_correctors), factor * weak, factor)
    factor[_chosen(rng, n, k, spec.dead_correctors)] = 0
    return factor


def _wiring(lattice: Lattice, spec: ErrorSpec, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Which magnet each supply drives; a swap exchanges two correctors of different cells."""
    k = lattice.n_corrector
    magnet = np.tile(np.arange(k), (n, 1))
    priority = rng.random((n, k))
    if spec.swapped_correctors:
        row = np.arange(n)
        first = priority.argmax(axis=1)
        same_cell = lattice.corrector_cell[first][:, None] == lattice.corrector_cell[None, :]
        second = np.where(same_cell, -1.0, priority).argmax(axis=1)
        magnet[row, first], magnet[row, second] = second, first
    return magnet
