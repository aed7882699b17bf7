"""Injectors in engineering units: readings, starts, replacement. Seeds are fixed; the RFQ is tracked."""

import numpy as np
import pytest

from beamctl.engine.simulated.injector import lebt_geometry, rfq_table, settings
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.loader import load_injector
from simulators.lpi import Settings, draw, run

MACHINE = load_injector("lpi")


def make(scenario="nominal", seed=1, n=6, fixed_orbit=False):
    one = Population(find_injector_scenario(MACHINE, scenario), fixed_orbit=fixed_orbit)
    return InjectorBatch(MACHINE, [one], np.random.default_rng(seed), n, particles=128)


def test_currents_are_those_of_the_machine_alone():
    """The batch draws its machines first, so the same seed draws them again."""
    batch, rng = make(seed=7), np.random.default_rng(7)
    rng.choice(1, size=6, p=[1.0])
    spec = find_injector_scenario(MACHINE, "nominal").spec
    machines = [draw(rfq_table(MACHINE), spec, rng, lebt_geometry(MACHINE), 128) for _ in range(6)]
    solo = [run(m, Settings(*settings(MACHINE, a)))[:2] for m, a in zip(machines, batch.start_a, strict=True)]
    np.testing.assert_allclose(batch.true_ma(batch.start_a), 1e3 * np.array(solo), rtol=1e-9)
    np.testing.assert_allclose(batch.source_ma, [1e3 * m.source.current_a for m in machines])


def test_starts_are_poor_and_inside_the_limits():
    batch = make(seed=2, n=20)
    acct, mfc1 = batch.true_ma(batch.start_a).T
    assert ((mfc1 / acct > 0.4) & (mfc1 / acct < 0.75)).all()
    assert (np.abs(batch.start_a[:, 2:]) <= 50.0).all()
    assert ((batch.start_a[:, :2] >= 100.0) & (batch.start_a[:, :2] <= 340.0)).all()


@pytest.mark.parametrize(("scenario", "rms_ma"), [("nominal", 0.0067), ("shifted", 0.0134)])
def test_a_reading_is_the_median_of_three_with_noise_drift_and_gain(scenario, rms_ma):
    batch = make(scenario, seed=3, n=4)
    read = np.array([batch.read_ma(batch.start_a) for _ in range(400)])
    assert np.std(np.diff(read, axis=0)) / np.sqrt(2) == pytest.approx(rms_ma, rel=0.15)
    offset = read.mean(axis=0) - batch.true_ma(batch.start_a)
    print("offset", np.abs(offset).max(), "mA")
    assert 1e-4 < np.abs(offset).max() < 0.05


def test_ideal_machines_read_what_is_there():
    batch = make("ideal", seed=4, n=3)
    reading, true = batch.read_with_truth_ma(batch.start_a)
    np.testing.assert_allclose(reading, true, atol=0.05)


def test_replaced_rows_are_other_machines_and_the_rest_stays():
    batch = make(seed=5)
    source, start = batch.source_ma.copy(), batch.start_a.copy()
    currents = batch.true_ma(start)
    batch.replace(np.array([1, 4]))
    kept = [0, 2, 3, 5]
    np.testing.assert_array_equal(batch.source_ma[kept], source[kept])
    np.testing.assert_array_equal(batch.true_ma(start)[kept], currents[kept])
    assert not np.isin(batch.source_ma[[1, 4]], source).any()
    assert (batch.start_a[[1, 4]] != start[[1, 4]]).all()


def test_some_rows_read_as_all_rows():
    batch, rows = make(seed=6), np.array([4, 2])
    every = batch.true_ma(batch.start_a)
    np.testing.assert_array_equal(batch.true_ma(batch.start_a[rows], rows), every[rows])


def test_the_same_run_again():
    batch = make(seed=8)
    runs = []
    for _ in range(2):
        batch.restart(np.random.default_rng(1))
        runs.append([batch.read_ma(batch.start_a) for _ in range(3)])
    np.testing.assert_array_equal(runs[0], runs[1])


def test_readbacks_are_near_the_setpoints():
    batch = make(seed=9)
    off = batch.readback_a(np.zeros((500, 6)))
    assert off.std() == pytest.approx(0.07, rel=0.1)


def test_with_a_fixed_orbit_the_correctors_stand_near_their_design():
    batch = make(seed=10, fixed_orbit=True)
    assert batch.fixed_orbit.all()
    assert (np.abs(batch.start_a[:, 2:]) <= 5.0).all()
    assert not make(seed=10).fixed_orbit.any()
