"""Many episodes at once: rewards, ends, fresh machines, and that row i is a run of its own. Seeds are fixed."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.engine.simulated.batch import MachineBatch
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.machine.loader import load_ion, load_machine
from beamctl.task.encoding import Normalisation, normaliser, trend
from beamctl.task.from_description import orbit_problem
from beamctl.task.orbit import orbit_rms, step_reward
from beamctl.training.machines import Site, task_pool
from simulators.errors_model import draw

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
SITE = Site(MACHINE, ION, ION)
PROBLEM = orbit_problem(MACHINE, ION, ION, "cm1-orbit")
POOL = task_pool(SITE, "cm1-orbit")
KINDS = ["normalised", "raw"]


class GivenMachines(MachineBatch):
    """Machines that are given: a row that is replaced becomes the same machine again."""

    def __init__(self, errors):
        super().__init__(POOL, find_scenario(MACHINE, "published"), np.random.default_rng(0), len(errors), 1)
        self._given = errors

    def replace(self, rows):
        self.place(rows, np.zeros(len(rows), np.int64), self._given.take(rows))


def given_errors(n, scenario="published", seed=1):
    return draw(POOL.lattice, 5, find_scenario(MACHINE, scenario), np.random.default_rng(seed), n)


def make_env(batch=None, kind="normalised", **changes):
    batch = batch or MachineBatch(POOL, find_scenario(MACHINE, "err5"), np.random.default_rng(1), 32, 5)
    return BatchedOrbitEnv(batch, replace(PROBLEM, **changes), Normalisation(), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_row_i_is_a_solo_run(kind):
    errors, rng = given_errors(6), np.random.default_rng(2)
    together = make_env(GivenMachines(errors), kind, max_steps=4, target_mm=1.5)
    alone = [make_env(GivenMachines(errors.take(np.array([i]))), kind, max_steps=4, target_mm=1.5) for i in range(6)]
    np.testing.assert_allclose(together.reset(), np.concatenate([env.reset() for env in alone]), atol=1e-9)
    seen_ends = 0
    for _ in range(12):
        actions = rng.uniform(-0.3, 0.3, (6, 10))
        step, solo = together.step(actions), [env.step(actions[i : i + 1]) for i, env in enumerate(alone)]
        for field in ("observation", "reward", "terminated", "truncated", "rms_mm", "final_observation"):
            np.testing.assert_allclose(
                getattr(step, field), np.concatenate([getattr(s, field) for s in solo]), atol=1e-9, err_msg=field
            )
        seen_ends += len(step.ended)
    assert seen_ends > 6


def test_first_observation_is_reading_trend_move_reading():
    errors = given_errors(3)
    env = make_env(GivenMachines(errors), "raw")
    observation = env.reset()
    before = env.batch.true_orbit_mm(np.zeros((3, 10)))
    after = env.batch.true_orbit_mm(np.full((3, 10), 0.555))
    np.testing.assert_allclose(observation, np.stack([np.zeros((3, 10)), after - before, after], axis=1), atol=1e-12)
    np.testing.assert_allclose(env.setpoint_a, 0.555)


def test_the_trend_move_starts_from_what_was_found():
    env = make_env(GivenMachines(given_errors(3, "nominal")))
    env.reset()
    assert env.batch.start_a.any()
    np.testing.assert_allclose(env.setpoint_a, env.batch.start_a + 0.555)


def test_normalised_rows_are_raw_rows_through_the_models_inverse():
    errors = given_errors(4)
    raw, normalised = (make_env(GivenMachines(errors), kind) for kind in ("raw", "normalised"))
    inverse = normaliser(POOL.response_mm_per_a[0] * 15.0, Normalisation())
    np.testing.assert_allclose(normalised.reset(), raw.reset() @ inverse.T, atol=1e-9)


def test_reward_is_that_of_the_pure_functions():
    env = make_env(GivenMachines(given_errors(5)), "raw", target_mm=1e-6)
    previous = env.reset()[:, 2]
    for seed in range(5):
        step = env.step(np.random.default_rng(seed).uniform(-0.2, 0.2, (5, 10)))
        now = step.observation[:, 2]
        np.testing.assert_allclose(step.reward, step_reward(previous, now), rtol=1e-12)
        np.testing.assert_allclose(step.rms_mm, orbit_rms(now), rtol=1e-12)
        previous = now


def test_success_gives_the_bonus_and_a_fresh_machine():
    env = make_env(GivenMachines(given_errors(2, "ideal")), "raw", target_mm=0.01, max_steps=50)
    env.reset()
    action = np.array([np.zeros(10), np.full(10, -0.555 / 15.0)])
    step = env.step(action)
    assert step.terminated.tolist() == [False, True]
    assert step.truncated.tolist() == [False, False]
    assert step.ended.tolist() == [1]
    assert step.reward[1] == pytest.approx(0.04 + 50 + 3 * 49)
    np.testing.assert_allclose(step.final_observation[0, 2], 0.0, atol=1e-9)
    np.testing.assert_allclose(step.observation[1, 0], 0.0, atol=1e-12)  # the first row of a fresh episode
    np.testing.assert_allclose(env.setpoint_a[1], 0.555)


def test_a_spent_budget_truncates():
    env = make_env(max_steps=3, target_mm=1e-9)
    env.reset()
    ends = [env.step(np.zeros((32, 10))) for _ in range(6)]
    assert [s.truncated.all() for s in ends] == [False, False, True, False, False, True]
    assert not any(s.terminated.any() for s in ends)
    assert all(len(s.final_observation) == len(s.ended) for s in ends)


def test_the_final_observation_belongs_to_the_episode_that_ended():
    env = make_env(kind="raw", max_steps=1, target_mm=1e-9)
    before = env.reset()
    step = env.step(np.full((32, 10), 0.01))
    np.testing.assert_array_equal(step.final_observation[:, 1], step.final_observation[:, 2] - before[:, 2])
    assert not np.isclose(step.observation[:, 2], step.final_observation[:, 2]).all(axis=1).any()


def test_actions_are_clipped_and_setpoints_limited():
    env = make_env(target_mm=1e-9)
    env.reset()
    start = env.setpoint_a.copy()
    env.step(np.full((32, 10), 100.0))
    np.testing.assert_allclose(env.setpoint_a, start + 15.0)
    for _ in range(6):
        env.step(np.full((32, 10), 100.0))
    np.testing.assert_allclose(env.setpoint_a, 74.0)


def test_missing_correctors_and_channels_of_a_virtual_module_stay_silent():
    from beamctl.engine.simulated.virtual_modules import virtual_modules

    pool = virtual_modules(MACHINE, ION, np.random.default_rng(4), 20)
    batch = MachineBatch(pool, find_scenario(MACHINE, "err5"), np.random.default_rng(5), 64, 5)
    env = BatchedOrbitEnv(batch, PROBLEM, Normalisation())
    observation = env.reset()
    missing = ~pool.has_corrector[batch.module]
    assert missing.any()
    assert not np.swapaxes(observation, 1, 2)[missing].any()
    step = env.step(np.zeros((64, 10)))
    assert np.isfinite(step.reward).all()


def test_observations_are_finite_whatever_is_done():
    env = make_env(kind="normalised")
    env.reset()
    rng = np.random.default_rng(6)
    for _ in range(60):
        step = env.step(rng.choice([-1.0, 1.0], (32, 10)))
        assert np.isfinite(step.observation).all()
        assert np.isfinite(step.reward).all()
    assert step.observation.shape == trend(np.zeros((32, 3, 10))).shape
