"""Many machines at once: virtual modules, statistics of what is drawn, rows that are replaced. Seeds are fixed."""

import numpy as np
import pytest

from beamctl.engine.simulated.batch import STOCK, MachineBatch, make_pool, without_noise
from beamctl.engine.simulated.lattice import MM, model_response, section_lattice, section_optics
from beamctl.engine.simulated.scenarios import find_scenario, scenarios
from beamctl.engine.simulated.virtual_modules import ENERGY_MEV_U, KE, PHASE_DEG, full_section, virtual_modules
from beamctl.machine.loader import load_ion, load_machine
from simulators.diagnostics import median_noise_factor
from simulators.errors_model import draw

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)


@pytest.fixture(scope="module")
def cm1_pool():
    return make_pool(section_lattice(MACHINE, "cm1"), section_optics(MACHINE, ION, ION, "cm1"))


@pytest.fixture(scope="module")
def virtual_pool():
    return virtual_modules(MACHINE, ION, np.random.default_rng(1), 600)


def make_batch(pool, scenario="nominal", seed=0, n=16, readings=5):
    return MachineBatch(pool, find_scenario(MACHINE, scenario), np.random.default_rng(seed), n, readings)


class TestVirtualModules:
    def test_settings_are_within_their_ranges_and_fill_them(self, virtual_pool):
        optics = virtual_pool.optics
        assert len(optics) == 600
        strength = np.abs(optics.solenoid_t) / 8.3 / (optics.energy_ev[:, None] / 1.356e6) ** 0.3
        for values, (lo, hi) in (
            (optics.energy_ev / 1e6, ENERGY_MEV_U),
            (strength, (0.75, 0.95)),
            (optics.cavity_v / 0.479e6, KE),
            (np.degrees(optics.cavity_phase_rad), PHASE_DEG),
        ):
            assert lo <= values.min() < lo + 0.02 * (hi - lo)
            assert hi - 0.02 * (hi - lo) < values.max() <= hi
        assert 0.45 < (optics.solenoid_t > 0).mean() < 0.55

    def test_every_third_module_misses_one_cell(self, virtual_pool):
        missing = ~virtual_pool.has_corrector
        assert set(missing.sum(axis=1)) == {0, 2}
        assert 0.27 < missing.any(axis=1).mean() < 0.40
        np.testing.assert_array_equal(missing, ~virtual_pool.has_channel)
        np.testing.assert_array_equal(missing[:, 0::2], missing[:, 1::2])

    def test_what_does_not_exist_has_no_response(self, virtual_pool):
        response = virtual_pool.response_mm_per_a
        assert not response[~virtual_pool.has_channel].any()
        assert not np.swapaxes(response, 1, 2)[~virtual_pool.has_corrector].any()
        assert np.isfinite(response).all()

    def test_the_same_generator_gives_the_same_modules(self):
        one, other = (virtual_modules(MACHINE, ION, np.random.default_rng(3), 5) for _ in range(2))
        np.testing.assert_array_equal(one.response_mm_per_a, other.response_mm_per_a)

    def test_the_hardware_is_that_of_a_complete_section(self, virtual_pool):
        assert full_section(MACHINE) == "cm1"
        assert (virtual_pool.lattice.n_corrector, virtual_pool.lattice.n_bpm) == (10, 5)


class TestRows:
    def test_the_pools_response_is_the_models(self, cm1_pool):
        expected = model_response(cm1_pool.lattice, cm1_pool.optics)
        np.testing.assert_allclose(cm1_pool.response_mm_per_a[0], expected, rtol=1e-6, atol=1e-9)

    def test_an_ideal_machine_is_the_model(self, cm1_pool):
        batch = make_batch(cm1_pool, "ideal", n=3)
        expected = np.broadcast_to(cm1_pool.response_mm_per_a, (3, 10, 10))
        np.testing.assert_allclose(batch.response_mm_per_a, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(batch.bare_mm, 0.0, atol=1e-12)
        assert not batch.start_a.any()

    def test_a_reading_is_bare_orbit_plus_response(self, cm1_pool):
        batch = make_batch(cm1_pool, "published", n=4)
        setpoint = np.random.default_rng(1).uniform(-10, 10, (4, 10))
        by_hand = [b + r @ a for b, r, a in zip(batch.bare_mm, batch.response_mm_per_a, setpoint, strict=True)]
        np.testing.assert_allclose(batch.read_mm(setpoint), by_hand, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(batch.read_mm(setpoint[2:3], np.array([2])), by_hand[2:3], rtol=1e-12, atol=1e-12)

    def test_replacing_touches_only_the_named_rows(self, cm1_pool):
        batch = make_batch(cm1_pool, n=6)
        before, start = batch.bare_mm.copy(), batch.start_a.copy()
        batch.replace(np.array([1, 4]))
        changed = (batch.bare_mm != before).any(axis=1)
        assert changed.tolist() == [False, True, False, False, True, False]
        assert (batch.start_a != start).any(axis=1).tolist() == changed.tolist()

    def test_no_machine_comes_twice(self, cm1_pool):
        batch, seen = make_batch(cm1_pool, n=100), []
        for _ in range(30):
            seen.append(batch.bare_mm.copy())
            batch.replace(np.arange(100))
        assert len(np.unique(np.concatenate(seen), axis=0)) == 3000 > 2 * STOCK

    @pytest.mark.parametrize("n", [STOCK, STOCK + 100])
    def test_more_rows_than_stock(self, cm1_pool, n):
        batch = make_batch(cm1_pool, n=n)
        before = batch.bare_mm.copy()
        batch.replace(np.arange(n))
        assert (batch.bare_mm != before).any(axis=1).all()

    def test_replaced_machines_are_like_the_first_ones(self, cm1_pool):
        batch = make_batch(cm1_pool, "err5", n=1000, seed=2)
        first = (batch.bare_mm.std(), batch.start_a.std(), batch.response_mm_per_a.std(axis=0))
        for _ in range(3):
            batch.replace(np.arange(1000))
        assert batch.bare_mm.std() == pytest.approx(first[0], rel=0.05)
        assert batch.start_a.std() == pytest.approx(first[1], rel=0.05)
        assert np.abs(batch.bare_mm.mean(axis=0)).max() < 0.3
        assert np.abs(batch.start_a).max() <= 2 * 1.85
        assert first[1] == pytest.approx(2 * 1.85 / np.sqrt(3), rel=0.05)
        np.testing.assert_allclose(batch.response_mm_per_a.std(axis=0), first[2], rtol=0.2, atol=1e-4)

    def test_the_same_seed_is_the_same_batch(self, cm1_pool):
        one, other = make_batch(cm1_pool, seed=5), make_batch(cm1_pool, seed=5)
        one.replace(np.array([3]))
        other.replace(np.array([3]))
        zeros = np.zeros((16, 10))
        np.testing.assert_array_equal(one.read_mm(zeros), other.read_mm(zeros))
        assert not np.array_equal(one.bare_mm, make_batch(cm1_pool, seed=6).bare_mm)

    def test_modules_of_the_pool_are_drawn_evenly(self, virtual_pool):
        batch = make_batch(virtual_pool, "published", n=1000)
        assert 400 < len(np.unique(batch.module)) <= 600
        np.testing.assert_array_equal(batch.exists, virtual_pool.has_channel[batch.module])
        assert not batch.start_a[~virtual_pool.has_corrector[batch.module]].any()


class TestInstruments:
    def test_several_shots_are_quieter_by_the_medians_factor(self, cm1_pool):
        for readings in (1, 5):
            batch = make_batch(cm1_pool, "nominal", n=500, readings=readings, seed=3)
            zeros = np.zeros((500, 10))
            noise = (batch.read_mm(zeros) - batch.read_mm(zeros)).std() / np.sqrt(2)
            lo, hi = MACHINE.types.bpm.noise.range
            single = np.sqrt((lo**2 + lo * hi + hi**2) / 3)
            assert noise == pytest.approx(single * median_noise_factor(readings), rel=0.05)

    def test_the_medians_factor_is_that_of_normal_readings(self):
        draws = np.random.default_rng(0).standard_normal((20_000, 5))
        assert median_noise_factor(5) == pytest.approx(np.median(draws, axis=1).std(), rel=0.02)
        assert median_noise_factor(1) == pytest.approx(1.0)

    def test_offsets_are_not_averaged_away(self, cm1_pool):
        batch = make_batch(cm1_pool, "nominal", n=500, readings=501, seed=4)
        zeros = np.zeros((500, 10))
        off = batch.read_mm(zeros) - batch.true_orbit_mm(zeros)
        assert off.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)

    def test_a_dead_bpm_reads_zero_in_both_planes_and_is_known(self, cm1_pool):
        batch = make_batch(cm1_pool, "dead", n=200)
        dead = ~batch.working
        assert (dead.sum(axis=1) == 2).all()
        np.testing.assert_array_equal(dead[:, 0::2], dead[:, 1::2])
        assert batch.exists.all()
        assert not batch.read_mm(np.zeros((200, 10)))[dead].any()

    def test_perfect_instruments_on_the_same_machines(self, cm1_pool):
        spec = find_scenario(MACHINE, "err5")
        noisy = MachineBatch(cm1_pool, spec, np.random.default_rng(1), 8, 5)
        quiet = MachineBatch(cm1_pool, without_noise(spec), np.random.default_rng(1), 8, 5)
        np.testing.assert_array_equal(noisy.bare_mm, quiet.bare_mm)
        zeros = np.zeros((8, 10))
        np.testing.assert_array_equal(quiet.read_mm(zeros), quiet.true_orbit_mm(zeros))


class TestPlacing:
    def test_given_errors_become_the_rows(self, cm1_pool):
        lattice, spec = cm1_pool.lattice, find_scenario(MACHINE, "published")
        errors = draw(lattice, 5, spec, np.random.default_rng(9), 3)
        batch, rest = make_batch(cm1_pool, "published", n=5), np.array([1, 4])
        before = batch.bare_mm[rest].copy()
        batch.place(np.array([0, 2, 3]), np.zeros(3, np.int64), errors)
        alone = make_batch(cm1_pool, "published", n=1)
        for i, row in enumerate((0, 2, 3)):
            alone.place(np.array([0]), np.zeros(1, np.int64), errors.take(np.array([i])))
            np.testing.assert_allclose(batch.bare_mm[row], alone.bare_mm[0], rtol=1e-12)
        np.testing.assert_array_equal(batch.bare_mm[rest], before)

    def test_a_seed_means_the_same_misalignments_in_every_scenario(self, cm1_pool):
        drawn = {
            name: draw(cm1_pool.lattice, 5, spec, np.random.default_rng(9), 4)
            for name, spec in scenarios(MACHINE).items()
        }
        offset = drawn["published"].solenoid_offset_m
        assert 1.5 < np.abs(offset.real).max() * MM <= 3.0
        for name in drawn.keys() - {"ideal", "published"}:
            size = 2.0 if name == "mis6" else 1.0
            np.testing.assert_allclose(drawn[name].solenoid_offset_m, size * offset, rtol=1e-12)
            np.testing.assert_allclose(drawn[name].incoming[:, 0], size * drawn["published"].incoming[:, 0], rtol=1e-12)
