"""RMS, reward and both ends of an episode, against numbers worked out by hand from the published formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beamctl.errors import NoValidReadingError
from beamctl.task.orbit import (
    STOP_SHARE,
    combine_readings,
    improvement,
    is_confirmed,
    is_reached,
    orbit_rms,
    step_reward,
    success_bonus,
)

FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=60)
"""the same examples in every run"""
MILLIMETRES = st.floats(-20, 20, allow_subnormal=False)
PAIRS = hnp.arrays(float, st.tuples(st.integers(1, 4), st.just(2), st.integers(1, 10)), elements=MILLIMETRES)


def rms_by_definition(orbit):
    return math.sqrt(sum(x * x for x in orbit) / len(orbit))


def reward_by_definition(previous, current):
    n = len(current)
    d = sum(1 / n if abs(now) < abs(was) else -4 / n for was, now in zip(previous, current, strict=True)) / n
    return -rms_by_definition(current) + 0.4 * d


class TestRms:
    @pytest.mark.parametrize(
        ("orbit", "rms"),
        [([3.0, 4.0, 0.0, 0.0], 2.5), ([0.5, 2.0, -0.5, -2.0], math.sqrt(2.125)), ([-1.5] * 10, 1.5), ([0.0] * 8, 0.0)],
    )
    def test_by_hand(self, orbit, rms):
        assert orbit_rms(np.array(orbit)) == pytest.approx(rms)

    def test_masked_channels_do_not_count(self):
        orbit = np.array([[3.0, 4.0, 99.0, 0.0], [3.0, 4.0, 99.0, 0.0]])
        valid = np.array([[True, True, False, False], [True, True, True, True]])
        assert orbit_rms(orbit, valid) == pytest.approx([math.sqrt(12.5), math.sqrt(9826 / 4)])

    def test_nothing_of_a_masked_channel_gets_through(self):
        for rubbish in (math.nan, math.inf, -math.inf):
            orbit = np.array([3.0, rubbish, 3.0, 3.0])
            assert orbit_rms(orbit, np.array([True, False, True, True])) == pytest.approx(3.0)

    def test_nan_stays_nan(self):
        assert np.isnan(orbit_rms(np.array([1.0, math.nan])))
        assert np.isnan(orbit_rms(np.array([1.0, math.nan]), np.array([True, True])))

    @pytest.mark.parametrize("valid", [[False, False], [[True, True], [False, False]]])
    def test_without_any_valid_reading_there_is_no_rms(self, valid):
        mask = np.array(valid)
        with pytest.raises(NoValidReadingError):
            orbit_rms(np.ones(mask.shape), mask)
        with pytest.raises(NoValidReadingError):
            step_reward(np.ones(mask.shape), np.ones(mask.shape), mask)


class TestReward:
    @pytest.mark.parametrize(
        ("previous", "current", "reward"),
        [
            # n = 4, two fell and two rose: D = (1/4) (1 - 4 + 1 - 4)/4 = -0.375
            ([1.0, 1.0, 1.0, 1.0], [0.5, 2.0, -0.5, -2.0], -math.sqrt(2.125) - 0.15),
            # n = 10, all fell: D = 10 (1/10)/10 = 0.1
            ([2.0] * 10, [1.0] * 10, -1.0 + 0.04),
            # n = 10, all rose: D = -0.4
            ([1.0] * 10, [2.0] * 10, -2.0 - 0.16),
            # what stands still has not fallen; a change of sign alone is no change of size
            ([1.0, 1.0], [1.0, -1.0], -1.0 - 0.8),
            # n = 8, one fell: D = (1/8) (1 - 28)/8
            ([1.0] * 8, [0.0] + [1.0] * 7, -math.sqrt(7 / 8) + 0.4 * (-27 / 64)),
        ],
    )
    def test_by_hand(self, previous, current, reward):
        assert step_reward(np.array(previous), np.array(current)) == pytest.approx(reward)

    def test_masked_channels_count_neither_in_the_sum_nor_in_n(self):
        previous, current = np.array([1.0, 1.0, 7.0, 1.0]), np.array([0.5, 2.0, math.nan, 0.5])
        valid = np.array([True, True, False, True])
        expected = reward_by_definition([1.0, 1.0, 1.0], [0.5, 2.0, 0.5])
        assert step_reward(previous, current, valid) == pytest.approx(expected)
        assert improvement(previous, current, valid) == pytest.approx(-2 / 9)

    @pytest.mark.parametrize(("left", "bonus"), [(0, 50.0), (1, 53.0), (38, 164.0), (49, 197.0)])
    def test_bonus(self, left, bonus):
        assert success_bonus(left) == bonus
        assert success_bonus(np.array([left, left])).tolist() == [bonus, bonus]

    @settings(FIXED)
    @given(pairs=PAIRS)
    def test_is_the_published_formula_in_every_row(self, pairs):
        previous, current = pairs[:, 0], pairs[:, 1]
        by_hand = [reward_by_definition(p, c) for p, c in zip(previous.tolist(), current.tolist(), strict=True)]
        np.testing.assert_allclose(step_reward(previous, current), by_hand, rtol=1e-12, atol=1e-12)
        valid = np.ones(current.shape, bool)
        np.testing.assert_allclose(step_reward(previous, current, valid), by_hand, rtol=1e-12, atol=1e-12)

    @settings(FIXED)
    @given(pairs=PAIRS, seed=st.integers(0, 99))
    def test_row_i_of_a_batch_is_a_solo_run(self, pairs, seed):
        previous, current = pairs[:, 0], pairs[:, 1]
        valid = np.random.default_rng(seed).random(current.shape) < 0.7
        valid[:, 0] = True
        rms, reward = orbit_rms(current, valid), step_reward(previous, current, valid)
        assert rms.shape == reward.shape == (len(current),)
        for i in range(len(current)):
            assert orbit_rms(current[i], valid[i]) == pytest.approx(rms[i], rel=1e-12, abs=1e-12)
            assert step_reward(previous[i], current[i], valid[i]) == pytest.approx(reward[i], rel=1e-12, abs=1e-12)


class TestEnds:
    @pytest.mark.parametrize(
        ("rms", "reached"),
        [(0.499, True), (0.5, False), (0.501, False), (0.0, True), (math.nan, False), (math.inf, False)],
    )
    def test_reached_is_below_and_never_nan(self, rms, reached):
        assert is_reached(rms, 0.5) == reached

    def test_a_run_stops_a_little_below_the_target(self):
        assert 0.9 <= STOP_SHARE < 1.0
        shares = np.array([STOP_SHARE - 0.01, STOP_SHARE + 0.001, 1.0, math.nan])
        assert is_confirmed(0.5 * shares, 0.5).tolist() == [True, False, False, False]

    def test_for_many_at_once(self):
        assert is_reached(np.array([0.1, np.nan, 0.6]), 0.5).tolist() == [True, False, False]


class TestCombining:
    def test_median_of_an_odd_and_an_even_number(self):
        samples = np.array([[1.0, 2.0], [9.0, 2.0], [3.0, -8.0]])
        np.testing.assert_array_equal(combine_readings(samples), [3.0, 2.0])
        np.testing.assert_array_equal(combine_readings(samples[:2]), [5.0, 2.0])

    @settings(FIXED)
    @given(samples=hnp.arrays(float, (5, 4), elements=MILLIMETRES), glitch=st.sampled_from([7.0, -9.0, 1e6]))
    def test_an_isolated_glitch_stays_inside_the_others(self, samples, glitch):
        broken = samples.copy()
        broken[2] += glitch
        others = np.delete(samples, 2, axis=0)
        combined = combine_readings(broken)
        assert np.all((others.min(axis=0) <= combined) & (combined <= others.max(axis=0)))
