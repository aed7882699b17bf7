"""Machine description to simulators: the one place where engineering units become SI and back."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from beamctl.machine.description import (
    CavityType,
    CorrectorType,
    IonDescription,
    MachineDescription,
    SolenoidType,
)
from simulators.beam import C_M_S, Array, Ion, rigidity_tm
from simulators.cavity import CavityField, two_gap_field
from simulators.elements import SechProfile, SolenoidMap, TanhProfile, fit_solenoid
from simulators.lattice import IncomingBeam, Lattice, Optics
from simulators.linac import build, perfect

MM = 1e3
"""mm per m"""


def section_lattice(
    machine: MachineDescription,
    section: str,
    correctors: Sequence[str] | None = None,
    bpms: Sequence[str] | None = None,
) -> Lattice:
    """Geometry of a section in SI units, with the named correctors and BPMs (all of them unless told)."""
    types, cells = machine.types, machine.sections[section].cells
    fitted = [
        (i, c) for i, cell in enumerate(cells) for c in cell.correctors if correctors is None or c.name in correctors
    ]
    seen = [i for i, cell in enumerate(cells) if cell.bpm is not None and (bpms is None or cell.bpm.name in bpms)]
    calibration = types.corrector.calibration.si()
    beam = machine.beam
    return Lattice(
        drift_m=machine.geometry.drift.si(),
        solenoid=_solenoid(types.solenoid, types.corrector),
        cavity=_cavity(types.cavity, C_M_S / machine.frequency.si()),
        bore_radius_m=machine.geometry.bore_radius.si(),
        corrector_cell=np.array([i for i, _ in fitted], dtype=np.int64),
        corrector_plane=np.array([0 if c.plane == "x" else 1 for _, c in fitted], dtype=np.int64),
        corrector_tm_per_a=np.array([c.polarity * calibration for _, c in fitted]),
        bpm_cell=np.array(seen, dtype=np.int64),
        incoming=IncomingBeam(beam.emittance.si(), beam.rms.si(), beam.divergence.si()),
    )


def section_optics(machine: MachineDescription, design: IonDescription, ion: IonDescription, section: str) -> Optics:
    """What a section is set to for an ion.

    Solenoids follow the rigidity and resonators A/q of the ion against the design ion, which keeps the focusing and
    the velocities.
    """
    described = machine.sections[section]
    energy_ev = section_energy_ev(machine, ion, section)
    design_ion, own_ion = simulator_ion(design), simulator_ion(ion)
    rigidity = rigidity_tm(energy_ev, own_ion.mass_ev, own_ion.charge)
    scale = float(rigidity / rigidity_tm(described.energy.si(), design_ion.mass_ev, design_ion.charge))
    voltage = design_ion.charge / own_ion.charge if ion.cavities_on else 0.0
    types = machine.types
    return Optics.single(
        own_ion,
        energy_ev,
        np.array([cell.solenoid.setting for cell in described.cells]) * types.solenoid.field.si() * scale,
        np.array([cell.cavity.ke for cell in described.cells]) * types.cavity.voltage.si() * voltage,
        np.radians([cell.cavity.phase_deg for cell in described.cells]),
    )


def section_energy_ev(machine: MachineDescription, ion: IonDescription, section: str) -> float:
    """Kinetic energy per nucleon at a section's entrance, eV."""
    return ion.energy.get(section, machine.sections[section].energy).si()


def simulator_ion(ion: IonDescription) -> Ion:
    """An ion description in the simulators' terms."""
    return Ion(1e6 * ion.mass_mev_u, ion.charge_per_nucleon)


def solenoid_current_a(machine: MachineDescription, field_t: Array) -> Array:
    """Supply current of a solenoid field, A."""
    solenoid = machine.types.solenoid
    return np.asarray(field_t * solenoid.current.value / solenoid.field.value)


def model_response(lattice: Lattice, optics: Optics) -> Array:
    """Response matrix of the error-free model, mm/A, shape (2 n_bpm, n_corrector)."""
    return np.asarray(build(lattice, perfect(lattice, optics)).response_m_per_a[0] * MM)


@lru_cache(maxsize=8)
def _fitted_solenoid(
    width_m: float, half_length_m: float, edge_m: float, length_m: float, centre_m: float
) -> SolenoidMap:
    return fit_solenoid(SechProfile(width_m), TanhProfile(half_length_m, edge_m), length_m, centre_m)


def _solenoid(solenoid: SolenoidType, corrector: CorrectorType) -> SolenoidMap:
    return _fitted_solenoid(
        solenoid.width.si(),
        corrector.half_length.si(),
        corrector.edge.si(),
        solenoid.map_length.si(),
        solenoid.centre.si(),
    )


@lru_cache(maxsize=8)
def _fitted_cavity(length_m: float, distance_m: float, rms_m: float, wavelength_m: float) -> CavityField:
    return two_gap_field(length_m, distance_m, rms_m, wavelength_m)


def _cavity(cavity: CavityType, wavelength_m: float) -> CavityField:
    return _fitted_cavity(cavity.length.si(), cavity.gap_distance.si(), cavity.gap_rms.si(), wavelength_m)
