"""Another ion: magnets follow the rigidity, so that the focusing stays and only the correctors weigh differently."""

import numpy as np
import pytest

from beamctl.engine.simulated.lattice import model_response, section_lattice, section_optics, simulator_ion
from beamctl.machine.loader import known_ions, load_ion, load_machine
from simulators.beam import rigidity_tm

MACHINE = load_machine("cafe2")
DESIGN = load_ion("40Ar12+")
SECTIONS = list(MACHINE.sections)


def rigidity(optics):
    return float(rigidity_tm(optics.energy_ev[0], optics.mass_ev[0], optics.charge[0]))


def response(ion, section):
    return model_response(section_lattice(MACHINE, section), section_optics(MACHINE, DESIGN, ion, section))


@pytest.mark.parametrize(("name", "tesla_metre"), [("40Ar12+", 0.5587), ("1H1+", 0.2095)])
def test_rigidity_in_cm1(name, tesla_metre):
    assert rigidity(section_optics(MACHINE, DESIGN, load_ion(name), "cm1")) == pytest.approx(tesla_metre, abs=1e-4)


def test_the_design_ion_gets_the_described_settings():
    optics = section_optics(MACHINE, DESIGN, DESIGN, "cm1")
    cells = MACHINE.sections["cm1"].cells
    np.testing.assert_allclose(optics.solenoid_t[0], [8.3 * c.solenoid.setting for c in cells])
    np.testing.assert_allclose(optics.cavity_v[0], [0.479e6 * c.cavity.ke for c in cells])
    np.testing.assert_allclose(np.degrees(optics.cavity_phase_rad[0]), [c.cavity.phase_deg for c in cells])


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("name", known_ions())
def test_focusing_stays(name, section):
    own, design = (section_optics(MACHINE, DESIGN, ion, section) for ion in (load_ion(name), DESIGN))
    np.testing.assert_allclose(own.solenoid_t / rigidity(own), design.solenoid_t / rigidity(design), rtol=1e-12)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("name", ["40Ca14+", "54Cr17+"])
def test_the_response_scales_with_the_inverse_rigidity(name, section):
    """Same velocities, same focusing: a corrector's kick is all that differs."""
    ion = load_ion(name)
    own, design = (section_optics(MACHINE, DESIGN, i, section) for i in (ion, DESIGN))
    np.testing.assert_allclose(own.cavity_v * own.charge[0], design.cavity_v * design.charge[0], rtol=1e-12)
    expected = response(DESIGN, section) * rigidity(design) / rigidity(own)
    np.testing.assert_allclose(response(ion, section), expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("section", SECTIONS)
def test_protons_drift_through_cold_resonators(section):
    protons = load_ion("1H1+")
    optics = section_optics(MACHINE, DESIGN, protons, section)
    assert not optics.cavity_v.any()
    assert optics.energy_ev[0] == pytest.approx(2.1e6)
    stronger = np.abs(response(protons, section)).max() / np.abs(response(DESIGN, section)).max()
    assert stronger > 2.0


def test_mass_and_charge_are_per_nucleon():
    ion = simulator_ion(DESIGN)
    assert ion.mass_ev == pytest.approx(37218.592e6 / 40)
    assert ion.charge == pytest.approx(0.3)
