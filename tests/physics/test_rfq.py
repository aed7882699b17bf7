"""The RFQ: cell table against its own equations, tracker against Floquet theory and a float64 twin.

One set of 4096 particles (seed 41) serves all statistical checks; their transmission is known to 0.0015.
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import i0

from simulators import rfq, rfq_numpy
from simulators.lebt import Source, source_particles
from simulators.rfq import StepTable, step_table
from simulators.rfq_design import (
    CellTable,
    RfqParameters,
    acceleration_of,
    bucket_length,
    bucket_phase,
    defocusing,
    design,
    matched_beam,
    phase_advance_floquet,
    phase_advance_smooth,
)

N = 4096
SEED = 41


@pytest.fixture(scope="module")
def cells() -> CellTable:
    return design()


@pytest.fixture(scope="module")
def table(cells: CellTable) -> StepTable:
    return step_table(cells)


@pytest.fixture(scope="module")
def beam(cells: CellTable) -> tuple[np.ndarray, np.ndarray]:
    """A matched beam of 0.2 mm mrad, and phases."""
    rng = np.random.default_rng(SEED)
    alpha, beta = matched_beam(cells.parameters)
    start = source_particles(Source(alpha=alpha, beta_m=beta), rng.standard_normal((4, N)), 35e3)
    return start, (np.arange(N) + 0.5)[rng.permutation(N)] / N


# -- the design --


def test_size_of_the_design(cells: CellTable) -> None:
    assert cells.parameters.focusing == pytest.approx(7.18, abs=0.005)
    assert len(cells) == pytest.approx(236, abs=2)
    assert cells.length_m.sum() == pytest.approx(4.66, abs=0.02)
    assert cells.exit_energy_ev == pytest.approx(2.09e6, rel=0.02)
    assert cells.aperture_m.min() == pytest.approx(3.4e-3, abs=0.05e-3)
    assert cells.modulation.max() == pytest.approx(2.2, abs=1e-3)


def test_vane_tips_have_the_acceleration_of_the_table(cells: CellTable) -> None:
    for length, a, m, tip in zip(cells.length_m, cells.acceleration, cells.modulation, cells.aperture_m, strict=True):
        k = math.pi / length
        assert (m * m - 1) / (m * m * i0(k * tip) + i0(m * k * tip)) == pytest.approx(a, abs=1e-9)
        assert tip / math.sqrt(1 - a * i0(k * tip)) == pytest.approx(cells.parameters.r0_m, rel=1e-9)


def test_sections_join_smoothly(cells: CellTable) -> None:
    g, a = cells.gentle_start, cells.accelerator_start
    assert (cells.phase_rad[:6] == -math.pi / 2).all()
    assert (cells.acceleration[:6] == 0).all()
    assert np.diff(cells.phase_rad).min() >= -1e-12
    assert math.degrees(cells.phase_rad[g]) == pytest.approx(-84.0, abs=0.5)
    assert math.degrees(cells.phase_rad[-1]) == pytest.approx(-30.0)
    assert cells.acceleration[a] == pytest.approx(cells.acceleration[a - 1], rel=0.03)
    assert cells.length_m[g] == pytest.approx(cells.length_m[g - 1], rel=0.01)


def test_gentle_buncher_keeps_bunch_length_and_frequency(cells: CellTable) -> None:
    gentle = slice(cells.gentle_start, cells.accelerator_start - 1)
    beta = np.sqrt(2 * cells.energy_ev[gentle] / cells.parameters.mass_ev)
    length = np.array([bucket_length(p) for p in cells.phase_rad[gentle]]) * beta
    frequency = cells.acceleration[gentle] * np.abs(np.sin(cells.phase_rad[gentle])) / beta**2
    assert np.ptp(length) / length.mean() < 0.02
    assert np.ptp(frequency) / frequency.mean() < 0.06


def test_energy_follows_from_the_cells(cells: CellTable) -> None:
    p = cells.parameters
    gain = 0.25 * math.pi * cells.acceleration * p.voltage_v * np.cos(cells.phase_rad)
    assert p.input_energy_ev + gain.sum() == pytest.approx(cells.exit_energy_ev, rel=1e-12)


@pytest.mark.parametrize("degrees", [-89.0, -60.0, -30.0])
def test_bucket_length_and_phase_are_inverse(degrees: float) -> None:
    assert math.degrees(bucket_phase(bucket_length(math.radians(degrees)))) == pytest.approx(degrees)


def test_no_modulation_no_acceleration() -> None:
    assert acceleration_of(1.0, 100.0, 5.7e-3) == (0.0, pytest.approx(5.7e-3))


# -- the phase advance --


def test_phase_advance_of_the_unmodulated_channel() -> None:
    b = RfqParameters().focusing
    assert math.degrees(phase_advance_floquet(b)) == pytest.approx(47.6, abs=0.05)
    assert math.degrees(phase_advance_smooth(b)) == pytest.approx(46.3, abs=0.05)


def test_smooth_formula_is_the_limit_of_weak_focusing(cells: CellTable) -> None:
    assert phase_advance_floquet(1.0) == pytest.approx(phase_advance_smooth(1.0), rel=1e-3)
    phase, energy = cells.phase_rad[-1], cells.energy_ev[-1]
    rf = defocusing(cells.parameters, cells.acceleration[-1], phase, energy)
    assert rf < 0
    smooth, exact = phase_advance_smooth(7.18, rf), phase_advance_floquet(7.18, rf, phase)
    assert exact == pytest.approx(smooth, rel=0.04)
    assert exact < phase_advance_floquet(7.18)


@pytest.mark.parametrize("per_cell", [4, 32])
def test_tracker_has_the_phase_advance_of_floquet(cells: CellTable, per_cell: int) -> None:
    """Two small rays through n and n + 2 cells of a channel without modulation give the map of a period."""
    ends = []
    for n in (10, 12):
        flat = replace(cells, acceleration=np.zeros(n), length_m=np.full(n, cells.length_m[0]), exit_energy_ev=35e3)
        rays = np.array([[1e-5, 0.0], [0.0, 1e-3], [0.0, 0.0], [0.0, 0.0]])
        ends.append(rfq.track(step_table(flat, per_cell), rays, np.full(2, 0.1)).position[:2].astype(float))
    period = ends[1] @ np.linalg.inv(ends[0])
    degrees = math.degrees(math.acos(np.trace(period) / 2))
    print(f"{per_cell} steps per cell: {degrees:.2f} deg")
    assert degrees == pytest.approx(math.degrees(phase_advance_floquet(cells.parameters.focusing)), abs=0.3)
    assert np.linalg.det(period) == pytest.approx(1.0, abs=1e-3)


# -- the beam --


def test_matched_beam_passes_with_the_design_energy(table: StepTable, cells: CellTable, beam: tuple) -> None:
    out = rfq.track(table, *beam)
    energy_mev = out.energy[out.transmitted] * cells.parameters.mass_ev / 1e6
    print(f"transmission {out.transmission:.4f}, energy {energy_mev.mean():.3f} MeV, rms {energy_mev.std():.3f}")
    assert out.transmission > 0.99
    assert energy_mev.mean() == pytest.approx(2.09, rel=0.02)
    assert energy_mev.std() < 0.04


def test_vane_voltage(table: StepTable, beam: tuple) -> None:
    """Published sister: collapses at 75 %. A prototype of this design: 0, 4, 78, 98, 99.8 %."""
    seen = [rfq.track(table, *beam, voltage=v).transmission for v in (0.80, 0.85, 0.90, 0.95, 1.00)]
    print("transmission", np.round(seen, 3))
    for value, (low, high) in zip(seen, [(0, 0.005), (0.005, 0.06), (0.6, 0.82), (0.93, 0.99), (0.99, 1)], strict=True):
        assert low <= value <= high


def test_offset_at_the_entrance(table: StepTable, beam: tuple) -> None:
    """A prototype of this design: 97, 83, 53 %."""
    start, phase = beam
    moved = [start + np.array([[offset], [0], [0], [0]]) for offset in (2e-3, 3e-3, 4e-3)]
    seen = [rfq.track(table, position, phase).transmission for position in moved]
    print("transmission", np.round(seen, 3))
    for value, (low, high) in zip(seen, [(0.95, 0.995), (0.78, 0.92), (0.38, 0.58)], strict=True):
        assert low <= value <= high


def test_four_steps_per_cell_are_enough(cells: CellTable, table: StepTable, beam: tuple) -> None:
    """Far off axis the coarse steps miss the outermost point of some particles: 0.005 is allowed at 2 mm."""
    fine = step_table(cells, 32)
    start, phase = beam
    off_axis = start + np.array([[2e-3], [0], [0], [0]])
    for shifted, voltage, bound in ((start, 1.0, 0.002), (start, 0.95, 0.002), (off_axis, 1.0, 0.005)):
        coarse, exact = (rfq.track(t, shifted, phase, voltage).transmission for t in (table, fine))
        print(f"4 steps {coarse:.4f}, 32 steps {exact:.4f}")
        assert abs(coarse - exact) <= bound


def test_float32_against_float64(table: StepTable, beam: tuple) -> None:
    start, phase = (a[..., :2048] for a in beam)
    for shifted, voltage in ((start, 1.0), (start + np.array([[3e-3], [0], [0], [0]]), 0.95)):
        single, double = (t.track(table, shifted, phase, voltage) for t in (rfq, rfq_numpy))
        print(f"{single.transmission:.4f} {double.transmission:.4f}")
        assert abs(single.transmission - double.transmission) <= 0.001
        assert np.mean(single.transmitted != double.transmitted) <= 0.005
    assert abs(np.median(single.energy[single.transmitted]) / np.median(double.energy[double.transmitted]) - 1) < 1e-4


def test_coordinates_of_the_twins_agree_while_the_motion_is_regular(cells: CellTable, beam: tuple) -> None:
    start, phase = (a[..., :512] for a in beam)
    n = 40
    short = replace(cells, acceleration=cells.acceleration[:n], length_m=cells.length_m[:n])
    single, double = (t.track(step_table(short), start, phase) for t in (rfq, rfq_numpy))
    both = (single.lost_in == n) & (double.lost_in == n)
    assert both.mean() > 0.99
    scale = np.array([1e-3, 0.05, 1e-3, 0.05])
    gap = np.abs(single.position - double.position)[:, both].max(axis=1) / scale
    assert gap.max() < 2e-3
    assert np.abs(single.energy / double.energy - 1)[both].max() < 1e-4


def test_cosine_and_bessel_series() -> None:
    turns = np.random.default_rng(42).uniform(-50.0, 50.0, 2000).astype(np.float32)
    seen = np.array([rfq._cosine.py_func(t) for t in turns])
    np.testing.assert_allclose(seen, np.cos(2 * np.pi * turns.astype(float)), atol=6e-5, rtol=0)
    z = np.linspace(0.0, 1.0, 50)
    series = np.array([rfq._series.py_func(np.float32(x * x / 4), rfq._I0) for x in z])
    np.testing.assert_allclose(series, i0(z), rtol=1e-5)


# -- bookkeeping --


def test_row_of_a_batch_is_a_solo_run(table: StepTable, beam: tuple) -> None:
    start, phase = (a[..., :300] for a in beam)
    batch = rfq.track(table, start, phase)
    for part in (slice(0, 1), slice(255, 258), slice(290, 300)):
        solo = rfq.track(table, start[:, part], phase[part])
        np.testing.assert_array_equal(solo.energy, batch.energy[part])
        np.testing.assert_array_equal(solo.transmitted, batch.transmitted[part])


def test_losses_count_every_lost_particle_once(table: StepTable, beam: tuple) -> None:
    start, phase = beam
    out = rfq.track(table, start + np.array([[4e-3], [0], [0], [0]]), phase)
    losses = out.losses(table.n_cell)
    assert losses.shape == (table.n_cell,)
    assert losses.sum() == np.isnan(out.position[0]).sum()
    assert N - losses.sum() >= out.transmitted.sum()


def test_particles_outside_the_vanes_are_lost_at_once(table: StepTable) -> None:
    start = np.zeros((4, 3))
    start[0, 1], start[2, 2] = 12e-3, -12e-3
    out = rfq.track(table, start, np.zeros(3))
    assert list(out.lost_in[1:]) == [0, 0]
    assert out.lost_in[0] == table.n_cell


def test_nothing_in_nothing_out(table: StepTable) -> None:
    out = rfq.track(table, np.empty((4, 0)), np.empty(0))
    assert out.transmitted.shape == (0,)
    assert math.isnan(out.transmission)


def test_more_voltage_more_transmission_up_to_the_design(table: StepTable, beam: tuple) -> None:
    seen = [rfq.track(table, *beam, voltage=v).transmission for v in (0.84, 0.88, 0.92, 0.96, 1.0)]
    assert all(a < b for a, b in pairwise(seen))
