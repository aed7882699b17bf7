"""Transmission episodes in step: reward, ends, limits; and the same steps as an agent takes in a rollout. Seeds are
fixed."""

import copy

import numpy as np
import pytest

from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.env.transmission_env import BatchedTransmissionEnv
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.training.transmission_rollout import transmission_rollout

N = 12
MIXED = (("nominal", 0.5, False), ("nominal", 0.3, True), ("dark", 0.2, False))


@pytest.fixture
def make_env(injector, make_injectors):
    def make(*kinds, seed=1, steps=4, share=(0.03, 0.06)):
        problem = transmission_problem(injector, "rfq-transmission", max_steps=steps)
        return BatchedTransmissionEnv(
            make_injectors(*(kinds or MIXED), seed=seed, n=N), problem, share, np.random.default_rng(seed)
        )

    return make


def test_reward_is_the_true_current_behind_the_rfq(make_env):
    env = make_env(("nominal", 1.0, False), steps=50)
    env.reset()
    for _ in range(5):
        step = env.step(np.random.default_rng(0).uniform(-1, 1, (N, 6)))
        acct, mfc1 = (env.batch.true_ma(env.setpoint_a) / env.batch.source_ma[:, None]).T
        lit = acct * env.batch.source_ma >= 0.05
        np.testing.assert_allclose(step.reward[lit], mfc1[lit])
    assert lit.any()


def test_without_beam_the_reward_is_negative(make_env):
    env = make_env(("dark", 1.0, False), seed=2, steps=50)
    env.reset()
    step = env.step(np.zeros((N, 6)))
    acct = env.batch.true_ma(env.setpoint_a)[:, 0]
    dark = acct < 0.05
    assert dark.mean() > 0.5
    assert (step.reward[dark] <= 0.0).all()
    assert (step.reward[~dark] >= 0.0).all()
    assert np.isfinite(step.observation).all()


def test_episodes_are_cut_never_terminated(make_env):
    env = make_env(steps=3)
    first = env.reset()
    assert not first[:, :2].any()
    for number in range(1, 7):
        before = env.batch.source_ma.copy()
        step = env.step(np.full((N, 6), 0.5))
        assert not step.terminated.any()
        assert step.truncated.tolist() == [number % 3 == 0] * N
        assert len(step.ended) == len(step.final_observation) == (N if number % 3 == 0 else 0)
        if number % 3 == 0:
            assert not np.isclose(env.batch.source_ma, before).any()
            assert step.final_observation[:, :2, 3:].any(axis=(1, 2)).all()
            assert not step.observation[:, :2].any()


def test_step_limits_and_setpoint_limits_hold(make_env, injector):
    env = make_env(steps=100, share=(0.03, 0.06))
    env.reset()
    p = env.problem
    span = p.hi_a - p.lo_a
    for _ in range(40):
        before = env.setpoint_a.copy()
        env.step(np.full((N, 6), 7.0))
        moved = (env.setpoint_a - before) / span
        assert (moved <= 0.06 + 1e-9).all()
    np.testing.assert_allclose(env.setpoint_a[~env.batch.fixed_orbit], np.tile(p.hi_a, (N, 1))[~env.batch.fixed_orbit])


def test_with_a_fixed_orbit_only_the_solenoids_move(make_env):
    env = make_env(("nominal", 1.0, True), steps=10)
    observation = env.reset()
    assert not observation[:, :, 5:].any()
    start = env.setpoint_a.copy()
    assert np.abs(start[:, 2:]).max() < 0.5 * 0.1 * 100 + 1e-9
    step = env.step(np.ones((N, 6)))
    np.testing.assert_array_equal(env.setpoint_a[:, 2:], start[:, 2:])
    assert (env.setpoint_a[:, :2] > start[:, :2]).all()
    assert not step.observation[:, :, 5:].any()


def test_the_same_seed_gives_the_same_episodes(make_env):
    one, same, other = make_env(seed=3), make_env(seed=3), make_env(seed=4)
    first = one.reset()
    np.testing.assert_array_equal(first, same.reset())
    assert not np.array_equal(first, other.reset())
    for _ in range(5):
        action = np.full((N, 6), 0.3)
        a, b = one.step(action), same.step(action)
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)


@pytest.mark.parametrize("fixed", [False, True])
def test_training_takes_the_steps_that_an_agent_takes(make_env, injector, fixed):
    """The same network on the same machines: as the environment steps, and as an agent is asked. Seed 5."""
    env = make_env(("nominal", 1.0, fixed), seed=5, steps=100, share=(0.06, 0.06))
    env.reset()
    twin = copy.deepcopy(env.batch)
    for batch in (env.batch, twin):
        batch.restart(np.random.default_rng(5))
    env._begin(np.arange(N))
    weights = np.random.default_rng(6).normal(0, 0.3, (45, 6))

    def infer(observation):
        return np.tanh(observation.reshape(len(observation), -1) @ weights).astype(np.float32)

    agent = TransmissionPolicyAgent("random", infer)
    problem = transmission_problem(injector, "rfq-transmission" + "-fixed-orbit" * fixed, max_steps=6)
    agent.start(problem)
    ran = transmission_rollout(agent, twin, problem)
    for t in range(1, 7):
        step = env.step(infer(env.observation().astype(np.float32)))
        np.testing.assert_allclose(env.setpoint_a, ran.setpoint_a[:, t], atol=1e-6)
        lit = ran.true_ma[:, t, 0] > 0.05
        np.testing.assert_allclose(step.reward[lit], ran.eta[lit, t], atol=1e-9)
