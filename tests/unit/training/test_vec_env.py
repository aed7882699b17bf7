"""The batched environment as Stable-Baselines3 sees it: time limits, restarts, bookkeeping. Seeds are fixed."""

import numpy as np
import pytest

from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.training.machines import training_batch
from beamctl.training.vec_env import BatchVecEnv

N = 8


@pytest.fixture
def make_env(site, small_fast, small_raw):
    def make(kind="normalised", seed=1, **changes) -> BatchVecEnv:
        from dataclasses import replace

        preset = small_fast if kind == "normalised" else small_raw
        batch, problem = training_batch(site, "cm1-orbit", preset, seed)
        return BatchVecEnv(BatchedOrbitEnv(batch, replace(problem, **changes), preset.normalisation, kind))

    return make


def random_actions(rng, env):
    return rng.uniform(-1, 1, (N, env.action_space.shape[0])).astype(np.float32)


@pytest.mark.parametrize("kind", ["normalised", "raw"])
def test_spaces_and_types(make_env, kind):
    env = make_env(kind)
    assert env.num_envs == N
    observation = env.reset()
    assert observation.shape == (N, 3, 10)
    assert observation.dtype == np.float32
    assert env.observation_space.contains(observation[0])
    observation, reward, done, infos = env.step(random_actions(np.random.default_rng(0), env))
    assert env.observation_space.contains(observation[0])
    assert (reward.shape, reward.dtype, done.dtype, len(infos)) == ((N,), np.float32, np.bool_, N)


def test_a_time_limit_is_marked_and_keeps_the_last_observation(make_env):
    env = make_env(max_steps=3, target_mm=1e-9)
    env.reset()
    rng = np.random.default_rng(1)
    for number in range(1, 7):
        observation, _, done, infos = env.step(random_actions(rng, env))
        assert done.tolist() == [number % 3 == 0] * N
        for row, info in enumerate(infos):
            if number % 3:
                assert info == {}
                continue
            assert info["TimeLimit.truncated"] is True
            assert info["is_success"] is False
            assert info["episode"]["l"] == 3
            last = info["terminal_observation"]
            assert last.shape == (3, 10)
            assert last.dtype == np.float32
            assert last[0].any()  # it has a past ...
            assert not observation[row, 0].any()  # ... the fresh episode has none


def test_success_is_no_time_limit(make_env):
    env = make_env(max_steps=3, target_mm=1e3)
    env.reset()
    _, reward, done, infos = env.step(np.zeros((N, 10), np.float32))
    assert done.all()
    assert [(i["TimeLimit.truncated"], i["is_success"]) for i in infos] == [(False, True)] * N
    assert (reward > 50).all()
    assert [i["episode"]["r"] for i in infos] == pytest.approx(reward.tolist(), rel=1e-5)


def test_success_in_the_last_step_is_no_time_limit(make_env):
    env = make_env(max_steps=1, target_mm=1e3)
    env.reset()
    _, _, _, infos = env.step(np.zeros((N, 10), np.float32))
    assert not any(i["TimeLimit.truncated"] for i in infos)


def test_episode_return_is_the_sum_of_its_rewards(make_env):
    env = make_env(max_steps=4, target_mm=1e-9)
    env.reset()
    rng, sums = np.random.default_rng(2), np.zeros(N)
    for _ in range(2):
        for _ in range(4):
            _, reward, _, infos = env.step(random_actions(rng, env))
            sums += reward
        assert [i["episode"]["r"] for i in infos] == pytest.approx(sums.tolist(), rel=1e-5)
        sums[:] = 0


def test_reset_starts_the_bookkeeping_anew(make_env):
    env = make_env(max_steps=2, target_mm=1e-9)
    env.reset()
    env.step(np.zeros((N, 10), np.float32))
    env.reset()
    env.step(np.zeros((N, 10), np.float32))
    _, _, _, infos = env.step(np.zeros((N, 10), np.float32))
    assert [i["episode"]["l"] for i in infos] == [2] * N


def test_the_same_seed_gives_the_same_episodes(make_env):
    one, same, other = make_env(seed=3), make_env(seed=3), make_env(seed=4)
    assert not np.array_equal(one.reset(), other.reset())
    one, first = make_env(seed=3), same.reset()
    np.testing.assert_array_equal(one.reset(), first)
    action = np.full((N, 10), 0.3, np.float32)
    for _ in range(5):
        np.testing.assert_array_equal(one.step(action)[0], same.step(action)[0])


def test_rows_have_nothing_of_their_own(make_env):
    env = make_env()
    assert env.env_is_wrapped(object) == [False] * N
    assert env.get_attr("render_mode") == [None] * N
    for call in (lambda: env.set_attr("x", 1), lambda: env.env_method("x")):
        with pytest.raises(AttributeError):
            call()
    env.close()
