"""Limits and laws of solenoid, corrector and resonator. Seeds stand where random numbers are drawn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulators import kernels, linac
from simulators.beam import Ion, beta_gamma, rigidity_tm
from simulators.cavity import (
    INVERSE_BETA,
    STRENGTH,
    CavityField,
    energy_gain,
    max_gain_phase,
    two_gap_field,
)
from simulators.elements import SechProfile, SolenoidMap, TanhProfile, fit_solenoid
from simulators.lattice import Optics
from simulators.linac import perfect

LENGTH, CENTRE = 0.345, 0.175
CORRECTOR = TanhProfile(0.09, 0.025)
KAPPA = np.linspace(-10.0, 10.0, 41)
TWINS = pytest.mark.parametrize("twin", [linac, kernels], ids=["numpy", "numba"])


@pytest.fixture(scope="module")
def solenoid() -> SolenoidMap:
    return fit_solenoid(SechProfile(0.026), CORRECTOR, LENGTH, CENTRE)


@pytest.fixture(scope="module")
def cavity() -> CavityField:
    return two_gap_field(0.21, 0.076, 0.018, 299_792_458.0 / 162.5e6)


@pytest.fixture(scope="module")
def cm1(section: Callable[..., Any]) -> Any:
    return section("cm1")


def argon(cells: int, voltage: float = 0.7e6, phase: float = -0.6, n: int = 1) -> Optics:
    """Equal cells for 40Ar12+ at 1.356 MeV/u without solenoid field."""
    ones = np.ones((n, cells))
    return Optics(
        np.full(n, 930.4648e6), np.full(n, 0.3), np.full(n, 1.356e6), 0.0 * ones, voltage * ones, phase * ones
    )


def resonator(lattice: Any, optics: Optics) -> tuple[np.ndarray, np.ndarray]:
    return linac._resonator(lattice, optics, 0, optics.energy_ev)


# --- beam ---


def test_rigidity_of_argon_and_protons() -> None:
    assert rigidity_tm(1.356e6, 930.4648e6, 0.3) == pytest.approx(0.5587, rel=1e-4)
    assert rigidity_tm(2.1e6, 938.272e6, 1.0) == pytest.approx(0.2095, rel=5e-4)


# --- solenoid and corrector ---


def test_solenoid_without_field_is_a_drift(solenoid: SolenoidMap) -> None:
    matrix, turn, kick = solenoid.evaluate(np.array(0.0))
    np.testing.assert_allclose(matrix, [[1.0, LENGTH], [0.0, 1.0]], atol=1e-9)
    assert turn == 1.0
    np.testing.assert_allclose(kick, [LENGTH - CENTRE, 1.0], rtol=3e-4)


def test_larmor_matrix_conserves_area(solenoid: SolenoidMap) -> None:
    matrix, turn, _ = solenoid.evaluate(KAPPA)
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.abs(turn), 1.0, rtol=1e-15)


def test_solenoid_focuses(solenoid: SolenoidMap) -> None:
    """Weak field: 1/f = int kappa^2 dz = kappa^2 int sech^2 = 2 width kappa^2."""
    kappa = np.array([0.1, 0.2])
    matrix, _, _ = solenoid.evaluate(kappa)
    np.testing.assert_allclose(-matrix[:, 1, 0], 2 * 0.026 * kappa**2, rtol=2e-3)


@pytest.mark.parametrize("kappa", [1.0, 4.0, 8.0])
def test_hard_edge_limit(kappa: float) -> None:
    """With vanishing edges, the analytic solenoid between two drifts; the error shrinks with the edge."""
    half = 0.08
    phase = 2.0 * half * kappa
    thick = np.array(
        [[np.cos(phase), np.sin(phase) / kappa], [-kappa * np.sin(phase), np.cos(phase)]],
    )
    before, behind = np.array([[1.0, CENTRE - half], [0.0, 1.0]]), np.array([[1.0, LENGTH - CENTRE - half], [0.0, 1.0]])
    expected = behind @ thick @ before
    errors = []
    for edge in (2e-3, 1e-3, 5e-4):
        matrix, _, _ = fit_solenoid(TanhProfile(half, edge), CORRECTOR, LENGTH, CENTRE).evaluate(np.array(kappa))
        errors.append(np.abs(matrix - expected).max() / np.abs(expected).max())
    assert errors[-1] < 3e-3
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2.0, rtol=0.1)


def test_fit_reproduces_a_direct_integration(solenoid: SolenoidMap) -> None:
    """Between the fitted nodes, against w'' = -kappa^2 w by a much finer leapfrog."""
    kappa, n = 6.283, 40_000
    h = LENGTH / n
    focus = (kappa / np.cosh(((np.arange(n) + 0.5) * h - CENTRE) / 0.026)) ** 2
    rays = np.eye(2)
    for f in focus:
        rays[0] += 0.5 * h * rays[1]
        rays[1] -= h * f * rays[0]
        rays[0] += 0.5 * h * rays[1]
    matrix, _, _ = solenoid.evaluate(np.array(kappa))
    np.testing.assert_allclose(matrix, rays, atol=2e-6)


def test_positive_field_turns_a_kick_in_x_to_negative_y(solenoid: SolenoidMap) -> None:
    """F = q v x B: a velocity along +x in a field along +z is pushed to -y."""
    _, turn, kick = solenoid.evaluate(np.array([0.5, 5.0]))
    assert (kick.imag < 0).all()
    assert (turn.imag < 0).all()


def test_reversed_polarity_is_the_complex_conjugate(solenoid: SolenoidMap) -> None:
    for plus, minus in zip(solenoid.evaluate(KAPPA), solenoid.evaluate(-KAPPA), strict=True):
        np.testing.assert_allclose(minus, plus.conj(), rtol=1e-15)


@TWINS
def test_reversed_polarity_mirrors_the_orbit(cm1: Any, twin: Any) -> None:
    """Beam and correctors in x only: with all solenoids reversed, x stays and y changes sign."""
    machines = perfect(cm1.lattice, cm1.optics)
    machines = replace(machines, incoming=np.array([[1e-3 + 0j, 1e-3 + 0j]]))
    mirrored = replace(machines, optics=replace(cm1.optics, solenoid_t=-cm1.optics.solenoid_t))
    a, b = twin.build(cm1.lattice, machines), twin.build(cm1.lattice, mirrored)
    horizontal = cm1.lattice.corrector_plane == 0
    for sign, rows in ((1, slice(0, None, 2)), (-1, slice(1, None, 2))):
        np.testing.assert_allclose(b.bare_m[:, rows], sign * a.bare_m[:, rows], rtol=1e-12)
        np.testing.assert_allclose(
            b.response_m_per_a[:, rows][..., horizontal],
            sign * a.response_m_per_a[:, rows][..., horizontal],
            rtol=1e-12,
        )


# --- resonator ---


@pytest.mark.parametrize(
    ("beta", "voltage_mv"),
    [(0.0539, 0.168), (0.06, 0.237), (0.07, 0.318), (0.08, 0.365), (0.10, 0.394), (0.12, 0.384), (0.15, 0.349)],
)
def test_effective_voltage_of_the_public_field(cavity: CavityField, beta: float, voltage_mv: float) -> None:
    """Largest gain at constant velocity, per charge, ke = 1: two Gaussian gaps against the published field."""
    weak, phases = 1e-7, np.linspace(0.0, 2.0 * np.pi, 721)
    gain = energy_gain(cavity, np.array(1.0 / np.sqrt(1.0 - beta**2)), np.array(weak), phases)
    assert 0.479 * gain.max() / weak == pytest.approx(voltage_mv, rel=0.045)


def test_phase_of_largest_gain(cavity: CavityField) -> None:
    """The fit against a parabola through three directly computed gains, over the whole fitted range (seed 3)."""
    rng = np.random.default_rng(3)
    inverse_beta, strength = rng.uniform(*INVERSE_BETA, 300), rng.uniform(*STRENGTH, 300)
    gamma = 1.0 / np.sqrt(1.0 - inverse_beta**-2)
    phase = max_gain_phase(cavity, inverse_beta, strength)
    d = 0.02
    low, mid, high = (energy_gain(cavity, gamma, strength, phase + shift) for shift in (-d, 0.0, d))
    assert (mid > 0).all()
    offset = 0.5 * d * (high - low) / (2.0 * mid - low - high)
    assert np.abs(offset).max() < 2e-4, "seed 3"


def test_resonator_without_voltage_is_a_drift(cm1: Any) -> None:
    matrix, energy = resonator(cm1.lattice, argon(1, voltage=0.0))
    np.testing.assert_allclose(matrix[0], [[1.0, cm1.lattice.cavity.length_m], [0.0, 1.0]], atol=1e-14)
    np.testing.assert_allclose(energy, 1.356e6, rtol=1e-15)


@pytest.mark.parametrize("phase_deg", [-90.0, -45.0, -30.0, 0.0, 30.0])
def test_resonator_damps_with_the_momentum(cm1: Any, phase_deg: float) -> None:
    optics = argon(1, phase=np.radians(phase_deg))
    matrix, energy = resonator(cm1.lattice, optics)
    damping = beta_gamma(optics.energy_ev, optics.mass_ev) / beta_gamma(energy, optics.mass_ev)
    np.testing.assert_allclose(np.linalg.det(matrix), damping, rtol=1e-12)


def test_synchronous_phase(cm1: Any) -> None:
    """Gain largest at 0, about cos(phase) of it elsewhere; at -30 deg a late particle gains more."""
    degrees = np.array([-60.0, -30.0, -29.0, -1.0, 0.0, 1.0, 30.0])
    optics = replace(argon(1, voltage=0.3e6, n=7), cavity_phase_rad=np.radians(degrees)[:, None])
    gain = resonator(cm1.lattice, optics)[1] - optics.energy_ev
    assert gain.argmax() == 4
    assert gain[2] > gain[1] > 0.0
    np.testing.assert_allclose(gain / gain[4], np.cos(np.radians(degrees)), atol=0.03)


def test_bunching_phase_defocuses(cm1: Any) -> None:
    matrix, _ = resonator(cm1.lattice, argon(1, phase=-0.5))
    matrix_behind, _ = resonator(cm1.lattice, argon(1, phase=0.5))
    assert matrix[0, 1, 0] > 0.0 > matrix_behind[0, 1, 0]


def test_more_steps_change_little(cm1: Any) -> None:
    """21 steps against 210: 1e-3 of the map."""
    coarse = cm1.lattice.cavity
    fine = two_gap_field(coarse.length_m, 0.076, 0.018, coarse.wavelength_m, n_steps=210)
    optics = argon(1)
    a, energy_a = resonator(cm1.lattice, optics)
    b, energy_b = resonator(replace(cm1.lattice, cavity=fine), optics)
    np.testing.assert_allclose(a, b, rtol=1e-3)
    np.testing.assert_allclose(energy_a, energy_b, rtol=1e-5)


# --- a whole section ---


@TWINS
def test_displacing_everything_displaces_the_orbit(cm1: Any, twin: Any) -> None:
    """Without resonators only solenoids have a centre: shift them and the beam alike, and nothing else moves."""
    machines, _ = cm1.draw("err5", 77, 10)
    off = replace(machines.optics, cavity_v=0.0 * machines.optics.cavity_v)
    machines = replace(machines, optics=off)
    shift = 2e-3 - 1e-3j
    moved = replace(
        machines,
        solenoid_offset_m=machines.solenoid_offset_m + shift,
        incoming=machines.incoming + np.array([shift, 0.0]),
    )
    a, b = twin.build(cm1.lattice, machines), twin.build(cm1.lattice, moved)
    np.testing.assert_allclose(b.bare_m[:, 0::2] - a.bare_m[:, 0::2], shift.real, atol=1e-15, err_msg="seed 77")
    np.testing.assert_allclose(b.bare_m[:, 1::2] - a.bare_m[:, 1::2], shift.imag, atol=1e-15, err_msg="seed 77")
    np.testing.assert_array_equal(b.response_m_per_a, a.response_m_per_a)


@TWINS
def test_a_section_without_fields_is_a_drift(cm1: Any, twin: Any) -> None:
    """Centroid straight, envelope by the free growth of the incoming beam, energy unchanged."""
    optics = argon(5, voltage=0.0)
    machines = replace(perfect(cm1.lattice, optics), incoming=np.array([[1e-3 - 2e-3j, 5e-4 + 1e-4j]]))
    orbits, beam = twin.build(cm1.lattice, machines), cm1.lattice.incoming
    z = 0.64 * np.arange(1, 6)
    expected = (1e-3 - 2e-3j) + (5e-4 + 1e-4j) * z
    np.testing.assert_allclose(orbits.bare_m[0, 0::2], expected.real, rtol=1e-8)
    np.testing.assert_allclose(orbits.bare_m[0, 1::2], expected.imag, rtol=1e-8)
    emittance = beam.emittance_m / beta_gamma(optics.energy_ev, optics.mass_ev)
    free = (beam.rms_m + beam.divergence_rad * z) ** 2 + (emittance / beam.rms_m * z) ** 2
    np.testing.assert_allclose(orbits.rms_m[0], np.sqrt(free), rtol=1e-8)
    np.testing.assert_allclose(orbits.exit_energy_ev, 1.356e6, rtol=1e-14)


@TWINS
def test_correctors_act_downstream_only(cm1: Any, twin: Any) -> None:
    response = twin.build(cm1.lattice, perfect(cm1.lattice, cm1.optics)).response_m_per_a[0]
    upstream = np.repeat(cm1.lattice.bpm_cell, 2)[:, None] < cm1.lattice.corrector_cell
    assert (response[upstream] == 0.0).all()
    assert (response[~upstream] != 0.0).all()


def test_ions_of_equal_rigidity_see_equal_solenoids(cm1: Any) -> None:
    """Without acceleration only B/(B rho) counts: same response per bend angle."""
    argon_row, proton = cm1.optics, Ion(938.272e6, 1.0)
    rho = rigidity_tm(argon_row.energy_ev, argon_row.mass_ev, argon_row.charge)
    scale = rigidity_tm(2.1e6, proton.mass_ev, proton.charge) / rho
    off = np.zeros_like(argon_row.cavity_v)
    other = Optics.single(proton, 2.1e6, argon_row.solenoid_t * scale, off, argon_row.cavity_phase_rad)
    a = linac.build(cm1.lattice, perfect(cm1.lattice, replace(argon_row, cavity_v=off)))
    b = linac.build(cm1.lattice, perfect(cm1.lattice, other))
    np.testing.assert_allclose(b.response_m_per_a * scale, a.response_m_per_a, rtol=1e-9, atol=1e-12)
