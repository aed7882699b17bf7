"""Sections of CAFe II as the simulators see them, the field description beside them, and seeded machines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from beamctl.engine.simulated.lattice import section_lattice, section_optics
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.machine.loader import load_ion, load_machine
from simulators.elements import SechProfile, TanhProfile
from simulators.errors_model import apply_errors, draw
from simulators.fieldmap import CellFields
from simulators.lattice import Lattice, Optics
from simulators.linac import Machines


@dataclass(frozen=True)
class Section:
    """A section set for one ion; ``optics`` is one row."""

    lattice: Lattice
    optics: Optics
    scenario: Callable[[str], object]

    def draw(self, scenario: str, seed: int, n: int) -> tuple[Machines, NDArray[np.float64]]:
        """``n`` machines with errors, and corrector currents of up to 74 A."""
        rng = np.random.default_rng(seed)
        errors = draw(self.lattice, self.optics.n_cell, self.scenario(scenario), rng, n)
        machines = apply_errors(self.lattice, self.optics.take(np.zeros(n, dtype=np.int64)), errors)
        return machines, rng.uniform(-74.0, 74.0, (n, self.lattice.n_corrector))


@pytest.fixture(scope="session")
def section() -> Callable[..., Section]:
    """Factory: section("cm1", "54Cr17+")."""
    machine = load_machine("cafe2")
    design = load_ion(machine.ion)

    def of(name: str, ion: str = "40Ar12+") -> Section:
        optics = section_optics(machine, design, load_ion(ion), name)
        return Section(section_lattice(machine, name), optics, lambda s: find_scenario(machine, s))

    return of


@pytest.fixture(scope="session")
def cell_fields() -> Callable[[Lattice], CellFields]:
    """Factory: the fields that the maps of a CAFe II lattice were made of."""
    geometry, types = load_machine("cafe2").geometry, load_machine("cafe2").types

    def of(lattice: Lattice) -> CellFields:
        return CellFields(
            drift_m=geometry.drift.si(),
            solenoid=SechProfile(types.solenoid.width.si()),
            solenoid_length_m=types.solenoid.map_length.si(),
            solenoid_centre_m=types.solenoid.centre.si(),
            corrector=TanhProfile(types.corrector.half_length.si(), types.corrector.edge.si()),
            cavity_length_m=types.cavity.length.si(),
            gap_distance_m=types.cavity.gap_distance.si(),
            gap_rms_m=types.cavity.gap_rms.si(),
            wavelength_m=lattice.cavity.wavelength_m,
            corrector_cell=lattice.corrector_cell,
            bpm_cell=lattice.bpm_cell,
        )

    return of
