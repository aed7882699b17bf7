"""Training, selection and report machines never meet; scenarios of one seed are the same machines. Seeds are fixed."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.errors import UnknownNameError
from beamctl.training.machines import (
    SELECTION_SEED,
    preset_problem,
    report_batch,
    selection_batch,
    task_pool,
    training_batch,
)
from beamctl.training.presets import AS_PUBLISHED, FAST, PRESETS, find_preset

TASK = "cm1-orbit"


@pytest.mark.parametrize("seed", [0, 1, SELECTION_SEED])
def test_no_machine_is_trained_on_selected_on_and_reported_on(site, small_raw, seed):
    preset = replace(small_raw, scenario="nominal", n_envs=200)
    training, _ = training_batch(site, TASK, preset, seed)
    sets = [
        training.bare_mm,
        selection_batch(site, TASK, "nominal").bare_mm,
        report_batch(site, TASK, "nominal", seed, 200).bare_mm,
        report_batch(site, TASK, "nominal", seed + 1, 200).bare_mm,
    ]
    everything = np.concatenate(sets)
    assert len(everything) == 800
    assert len(np.unique(everything.round(9), axis=0)) == 800


def test_selection_machines_are_always_the_same(site):
    one, other = (selection_batch(site, TASK, "err5", n) for n in (200, 50))
    np.testing.assert_array_equal(one.bare_mm[:50], other.bare_mm)


def test_fewer_machines_are_the_first_of_more(site):
    many, few = (report_batch(site, TASK, "err5", 1, n) for n in (20, 5))
    np.testing.assert_array_equal(many.bare_mm[:5], few.bare_mm)


def test_scenarios_of_one_seed_are_the_same_machines(site):
    nominal, mis6, err5, dead, weak, turned, crossed = (
        report_batch(site, TASK, name, 7, 20)
        for name in ("nominal", "mis6", "err5", "dead", "weak", "reversed", "crossed")
    )
    np.testing.assert_allclose(mis6.bare_mm, 2 * nominal.bare_mm, rtol=1e-9, atol=1e-9)
    for faulty in (dead, weak, turned, crossed):
        np.testing.assert_array_equal(faulty.bare_mm, err5.bare_mm)
        np.testing.assert_array_equal(faulty.start_a, err5.start_a)
    flipped = np.isclose(turned.response_mm_per_a, -err5.response_mm_per_a).all(axis=1)
    same = np.isclose(turned.response_mm_per_a, err5.response_mm_per_a).all(axis=1)
    assert flipped.sum(axis=1).tolist() == [1] * 20
    assert (flipped | same).all()
    correlation = np.corrcoef(nominal.bare_mm.ravel(), err5.bare_mm.ravel())[0, 1]
    assert correlation > 0.95


def test_other_seeds_are_other_machines(site):
    one, other = (report_batch(site, TASK, "nominal", seed, 20) for seed in (1, 2))
    assert not np.isclose(one.bare_mm, other.bare_mm).all(axis=1).any()


def test_opposite_solenoids_turn_the_coupling_and_nothing_else(site):
    as_described, opposite = task_pool(site, TASK), task_pool(site, TASK, opposite_solenoids=True)
    np.testing.assert_array_equal(opposite.optics.solenoid_t, -as_described.optics.solenoid_t)
    direct = np.add.outer(np.arange(10), np.arange(10)) % 2 == 0
    one, other = as_described.response_mm_per_a[0], opposite.response_mm_per_a[0]
    np.testing.assert_allclose(other[direct], one[direct], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other[~direct], -one[~direct], rtol=1e-6, atol=1e-9)


class TestPresets:
    def test_published_numbers(self):
        p = AS_PUBLISHED
        assert (p.batch_size, p.gamma, p.tau, p.learning_rate, p.buffer_size) == (256, 0.99, 0.005, 2e-4, 3000)
        assert (p.learning_starts, p.net, p.n_envs, p.step_units, p.target_mm) == (500, (256, 256), 1, 1.0, 0.5)
        assert (p.observation, p.modules, p.scenario, p.symmetric) == ("raw", "task", "published", False)

    def test_every_preset_is_found_by_its_name(self, site):
        for name, preset in PRESETS.items():
            assert find_preset(name) is preset
            assert preset.name == name
        with pytest.raises(UnknownNameError, match="as-published, fast"):
            find_preset("slow")

    @pytest.mark.parametrize(("preset", "step"), [(FAST, 15.0), (AS_PUBLISHED, 1.85)])
    def test_the_step_is_the_presets_or_the_machines(self, site, preset, step):
        problem = preset_problem(site, TASK, preset)
        np.testing.assert_array_equal(problem.step_a, np.full(10, step))
        assert problem.target_mm == preset.target_mm

    @pytest.mark.parametrize("task", ["cm1-orbit", "cm2-orbit", "cm3-orbit"])
    def test_virtual_modules_serve_every_task(self, site, small_fast, task):
        batch, problem = training_batch(site, task, small_fast, 1)
        assert problem.n_corrector == 10
        assert problem.slots.tolist() == list(range(10))
        assert len(problem.lo_a) == len(problem.step_a) == 10
        assert batch.pool.response_mm_per_a.shape == (64, 10, 10)

    def test_the_task_preset_trains_on_the_tasks_module(self, site, small_raw):
        batch, problem = training_batch(site, "cm2-orbit", small_raw, 1)
        assert (problem.n_corrector, problem.n_channel, len(batch.pool.optics)) == (8, 8, 1)
