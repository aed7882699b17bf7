"""What is fixed about a cryomodule (geometry, fitted maps, who sits in which cell) and what it is set to."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulators.beam import Array, Ion
from simulators.cavity import CavityField
from simulators.elements import SolenoidMap


@dataclass(frozen=True)
class IncomingBeam:
    """Transverse distribution at the entrance, round.

    Attributes:
        emittance_m: normalised rms emittance per plane, m rad.
        rms_m: rms radius per plane, m.
        divergence_rad: correlated part of the rms slope, rad (positive: diverging).
    """

    emittance_m: float
    rms_m: float
    divergence_rad: float


@dataclass(frozen=True)
class Lattice:
    """One cryomodule: ``c`` equal cells of drift, solenoid with corrector pair, resonator; BPM at the cell's end.

    Attributes:
        drift_m: drift in front of each solenoid map.
        solenoid: fitted solenoid map.
        cavity: resonator field.
        bore_radius_m: aperture radius.
        corrector_cell: cell index of each corrector, shape (k,).
        corrector_plane: 0 for x, 1 for y, shape (k,).
        corrector_tm_per_a: integrated field per ampere, T m/A, positive bends towards the positive axis; shape (k,).
        bpm_cell: cell index of each BPM, shape (b,).
        incoming: beam distribution at the entrance.
    """

    drift_m: float
    solenoid: SolenoidMap
    cavity: CavityField
    bore_radius_m: float
    corrector_cell: NDArray[np.int64]
    corrector_plane: NDArray[np.int64]
    corrector_tm_per_a: Array
    bpm_cell: NDArray[np.int64]
    incoming: IncomingBeam

    @property
    def n_corrector(self) -> int:
        """Number of correctors, k."""
        return len(self.corrector_cell)

    @property
    def n_bpm(self) -> int:
        """Number of BPMs, b."""
        return len(self.bpm_cell)


@dataclass(frozen=True)
class Optics:
    """Settings of ``n`` modules with ``c`` cells; first axis the module.

    Attributes:
        mass_ev: rest energy per nucleon, eV, shape (n,).
        charge: charge number per nucleon, shape (n,).
        energy_ev: kinetic energy per nucleon at the entrance, eV, shape (n,).
        solenoid_t: peak field with sign, T, shape (n, c).
        cavity_v: int |E_z| dz of each resonator, V, shape (n, c).
        cavity_phase_rad: synchronous phase, rad, shape (n, c).
    """

    mass_ev: Array
    charge: Array
    energy_ev: Array
    solenoid_t: Array
    cavity_v: Array
    cavity_phase_rad: Array

    @classmethod
    def single(cls, ion: Ion, energy_ev: float, solenoid_t: Array, cavity_v: Array, cavity_phase_rad: Array) -> Self:
        """Settings of one module, n = 1."""
        rows = [np.atleast_2d(np.asarray(a, dtype=float)) for a in (solenoid_t, cavity_v, cavity_phase_rad)]
        return cls(np.array([ion.mass_ev]), np.array([ion.charge]), np.array([energy_ev]), *rows)

    def __len__(self) -> int:
        return len(self.energy_ev)

    @property
    def n_cell(self) -> int:
        """Number of cells, c."""
        return int(self.solenoid_t.shape[1])

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Settings of the given rows (repeats allowed)."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})
