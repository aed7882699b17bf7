"""Errors of machines: reproducible, comparable between scenarios, inside their bounds, faults counted."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simulators.errors_model import WEAK, Errors, ErrorSpec, apply_errors, draw
from simulators.lattice import Lattice, Optics

N, N_CELL, SEED = 200, 5, 20
NOMINAL = ErrorSpec(
    solenoid_offset_m=3e-3,
    incoming_m=6e-4,
    incoming_rad=1e-3,
    initial_a=3.7,
    bpm_offset_m=1e-4,
    bpm_noise_m=(3e-5, 1e-4),
)
ERR5 = replace(
    NOMINAL,
    solenoid_common=0.05,
    solenoid_each=0.05,
    calibration=0.05,
    cavity_voltage=0.05,
    cavity_phase_rad=0.087,
    energy=0.01,
)
FAULTS = {
    "reversed": replace(NOMINAL, reversed_correctors=1),
    "crossed": replace(NOMINAL, crossed_pairs=1),
    "dead": replace(NOMINAL, dead_correctors=2),
    "weak": replace(NOMINAL, weak_correctors=1),
    "dead bpm": replace(NOMINAL, dead_bpms=1),
}


def drawn(lattice: Lattice, spec: ErrorSpec, seed: int = SEED) -> Errors:
    return draw(lattice, N_CELL, spec, np.random.default_rng(seed), N)


def assert_same(a: Errors, b: Errors) -> None:
    for field in fields(Errors):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


def test_no_error_at_all(lattice: Lattice) -> None:
    ideal = drawn(lattice, ErrorSpec())
    for name in ("solenoid_scale", "cavity_scale", "energy_scale", "corrector"):
        assert (getattr(ideal, name) == 1.0).all(), name
    for name in ("solenoid_offset_m", "cavity_phase_rad", "incoming", "initial_a", "bpm_offset_m", "bpm_noise_m"):
        assert (getattr(ideal, name) == 0.0).all(), name
    assert not ideal.dead_channel.any()


def test_same_seed_same_machines(lattice: Lattice) -> None:
    assert_same(drawn(lattice, ERR5), drawn(lattice, ERR5))
    other = drawn(lattice, ERR5, seed=SEED + 1)
    assert not np.array_equal(other.solenoid_offset_m, drawn(lattice, ERR5).solenoid_offset_m)


@pytest.mark.parametrize("spec", [ERR5, *FAULTS.values()], ids=["err5", *FAULTS])
def test_misalignments_are_the_same_in_each_scenario(lattice: Lattice, spec: ErrorSpec) -> None:
    base, other = drawn(lattice, NOMINAL), drawn(lattice, spec)
    for name in ("solenoid_offset_m", "incoming", "initial_a", "bpm_offset_m", "bpm_noise_m"):
        np.testing.assert_array_equal(getattr(other, name), getattr(base, name), err_msg=f"{name}, seed {SEED}")


def test_doubled_misalignments_are_twice_as_large(lattice: Lattice) -> None:
    double = replace(NOMINAL, solenoid_offset_m=6e-3, incoming_m=1.2e-3, incoming_rad=2e-3)
    base, other = drawn(lattice, NOMINAL), drawn(lattice, double)
    np.testing.assert_allclose(other.solenoid_offset_m, 2 * base.solenoid_offset_m, rtol=1e-15)
    np.testing.assert_allclose(other.incoming, 2 * base.incoming, rtol=1e-15)


def test_bounds(lattice: Lattice) -> None:
    value = drawn(lattice, ERR5)
    limits = {
        "solenoid_offset_m": 3e-3,
        "initial_a": 3.7,
        "bpm_offset_m": 1e-4,
        "cavity_phase_rad": 0.087,
    }
    for name, limit in limits.items():
        parts = getattr(value, name)
        largest = max(np.abs(parts.real).max(), np.abs(parts.imag).max())
        assert 0.9 * limit < largest <= limit, f"{name}, seed {SEED}"
    assert np.abs(value.solenoid_scale - 1).max() <= 1.05**2 - 1
    assert np.abs(value.cavity_scale - 1).max() <= 0.05
    assert np.abs(value.energy_scale - 1).max() <= 0.01
    assert np.abs(value.corrector - 1).max() <= 0.05
    assert ((value.bpm_noise_m >= 3e-5) & (value.bpm_noise_m <= 1e-4)).all()
    assert np.abs(value.incoming[:, 0].real).max() <= 6e-4
    assert np.abs(value.incoming[:, 1].imag).max() <= 1e-3


def test_common_solenoid_error_is_common(lattice: Lattice) -> None:
    scale = drawn(lattice, replace(NOMINAL, solenoid_common=0.05)).solenoid_scale
    assert scale.shape == (N, N_CELL)
    assert (np.ptp(scale, axis=1) == 0.0).all()
    assert np.ptp(scale[:, 0]) > 0.05


def test_faults_are_counted(lattice: Lattice) -> None:
    factor = {name: drawn(lattice, spec).corrector for name, spec in FAULTS.items()}
    assert ((factor["reversed"] == -1).sum(axis=1) == 1).all()
    assert ((factor["reversed"] == 1).sum(axis=1) == lattice.n_corrector - 1).all()
    assert ((factor["dead"] == 0).sum(axis=1) == 2).all()
    weak = factor["weak"].real
    assert ((weak < 1).sum(axis=1) == 1).all()
    assert ((weak == 1) | ((weak >= WEAK[0]) & (weak <= WEAK[1]))).all()
    assert (drawn(lattice, FAULTS["dead bpm"]).dead_channel.sum(axis=1) == 2).all()


def test_faults_hit_every_corrector_sometimes(lattice: Lattice) -> None:
    hit = (drawn(lattice, FAULTS["reversed"]).corrector == -1).mean(axis=0)
    np.testing.assert_allclose(hit, 1 / lattice.n_corrector, atol=0.1, err_msg=f"seed {SEED}")


def test_a_crossed_pair_acts_on_the_other_plane(lattice: Lattice) -> None:
    factor = drawn(lattice, FAULTS["crossed"]).corrector
    crossed = factor.imag != 0
    assert (crossed.sum(axis=1) == 2).all()
    cell = np.broadcast_to(lattice.corrector_cell, crossed.shape)[crossed].reshape(N, 2)
    assert (cell[:, 0] == cell[:, 1]).all()
    np.testing.assert_array_equal(factor[crossed].reshape(N, 2), np.tile([1j, -1j], (N, 1)))
    kick = factor * np.where(lattice.corrector_plane == 0, 1.0, 1j)
    wrong = np.where(lattice.corrector_plane == 0, kick.real, kick.imag)
    assert (wrong[crossed] == 0).all()


def test_take_keeps_rows(lattice: Lattice) -> None:
    value = drawn(lattice, ERR5)
    rows = np.array([5, 5, 0])
    taken = value.take(rows)
    assert (len(value), len(taken)) == (N, 3)
    for field in fields(Errors):
        np.testing.assert_array_equal(getattr(taken, field.name), getattr(value, field.name)[rows])


def test_errors_reach_the_machines(lattice: Lattice) -> None:
    ones = np.ones((N, N_CELL))
    optics = Optics(np.full(N, 930e6), np.full(N, 0.3), np.full(N, 1.356e6), -6.0 * ones, 7e5 * ones, -0.5 * ones)
    errors = drawn(lattice, replace(ERR5, reversed_correctors=1))
    machines = apply_errors(lattice, optics, errors)
    np.testing.assert_array_equal(machines.optics.solenoid_t, -6.0 * errors.solenoid_scale)
    np.testing.assert_array_equal(machines.optics.cavity_v, 7e5 * errors.cavity_scale)
    np.testing.assert_array_equal(machines.optics.cavity_phase_rad, -0.5 + errors.cavity_phase_rad)
    np.testing.assert_array_equal(machines.optics.energy_ev, 1.356e6 * errors.energy_scale)
    np.testing.assert_array_equal(machines.solenoid_offset_m, errors.solenoid_offset_m)
    np.testing.assert_array_equal(machines.incoming, errors.incoming)
    x = lattice.corrector_plane == 0
    np.testing.assert_allclose(machines.corrector_tm_per_a[:, x].real, 6.76e-5 * errors.corrector[:, x].real)
    np.testing.assert_allclose(machines.corrector_tm_per_a[:, ~x].imag, 6.76e-5 * errors.corrector[:, ~x].real)
