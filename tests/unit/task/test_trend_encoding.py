"""What an agent sees: the trend, and its normalisation against the written-out SVD formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beamctl.task.encoding import (
    SLOTS,
    Normalisation,
    first_history,
    free_correctors,
    next_history,
    normaliser,
    spread,
    trend,
)

FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=60)
"""the same examples in every run"""
ENTRIES = st.floats(-3, 3, allow_subnormal=False)
RESPONSES = hnp.arrays(float, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=ENTRIES)
DAMPED = Normalisation(gain=0.7, damping_mm=0.3)


def by_singular_values(response, normalisation):
    u, s, vt = np.linalg.svd(response, full_matrices=False)
    return normalisation.gain * (vt.T * (s / (s**2 + normalisation.damping_mm**2))) @ u.T


class TestTrend:
    def test_rows_are_the_last_two_changes_and_the_reading(self):
        history = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, -1.0]])
        np.testing.assert_array_equal(trend(history), [[1.0, -2.0], [2.0, -4.0], [4.0, -1.0]])

    def test_nothing_is_known_before_the_first_trend_move(self):
        before, after = np.array([1.0, 2.0]), np.array([1.5, 1.0])
        np.testing.assert_array_equal(trend(first_history(before, after)), [[0.0, 0.0], [0.5, -1.0], [1.5, 1.0]])

    def test_the_next_reading_pushes_the_oldest_out(self):
        history = next_history(np.array([[1.0], [2.0], [3.0]]), np.array([7.0]))
        np.testing.assert_array_equal(history, [[2.0], [3.0], [7.0]])
        np.testing.assert_array_equal(trend(history), [[1.0], [4.0], [7.0]])

    def test_leading_axes_are_batches(self):
        rng = np.random.default_rng(0)
        histories, readings = rng.normal(size=(2, 5, 3, 8)), rng.normal(size=(2, 5, 8))
        assert trend(histories).shape == next_history(histories, readings).shape == (2, 5, 3, 8)
        assert first_history(readings, readings).shape == (2, 5, 3, 8)
        np.testing.assert_array_equal(trend(histories)[1, 3], trend(histories[1, 3]))
        np.testing.assert_array_equal(
            next_history(histories, readings)[1, 3], next_history(histories[1, 3], readings[1, 3])
        )
        np.testing.assert_array_equal(
            first_history(readings, 2 * readings)[1, 3], first_history(readings[1, 3], 2 * readings[1, 3])
        )


class TestNormaliser:
    @settings(FIXED)
    @given(response=RESPONSES)
    def test_is_the_svd_formula(self, response):
        np.testing.assert_allclose(normaliser(response, DAMPED), by_singular_values(response, DAMPED), atol=1e-9)

    def test_a_dead_direction_asks_for_nothing(self):
        response = np.outer([1.0, 2.0, 2.0], [1.0, 0.0])
        inverse = normaliser(response, Normalisation(1.0, 1e-3))
        np.testing.assert_allclose(inverse[1], 0.0, atol=1e-12)
        np.testing.assert_allclose(inverse @ response, [[1.0, 0.0], [0.0, 0.0]], atol=1e-6)

    def test_without_damping_worth_speaking_of_it_undoes_the_response(self):
        response = np.random.default_rng(1).normal(size=(10, 8))
        np.testing.assert_allclose(normaliser(response, Normalisation(1.0, 1e-6)) @ response, np.eye(8), atol=1e-6)

    @settings(FIXED)
    @given(response=RESPONSES, seed=st.integers(0, 99))
    def test_masked_channels_and_held_correctors_drop_out(self, response, seed):
        n, k = response.shape
        rng = np.random.default_rng(seed)
        valid, free = rng.random(n) < 0.6, rng.random(k) < 0.6
        inverse = normaliser(response, DAMPED, valid, free)
        expected = np.zeros((k, n))
        if valid.any() and free.any():
            expected[np.ix_(free, valid)] = by_singular_values(response[np.ix_(valid, free)], DAMPED)
        np.testing.assert_allclose(inverse, expected, atol=1e-9)
        assert not inverse[:, ~valid].any()
        assert not inverse[~free].any()

    def test_row_i_of_a_batch_is_a_solo_run(self):
        rng = np.random.default_rng(2)
        responses, valid, free = rng.normal(size=(6, 10, 8)), rng.random((6, 10)) < 0.8, rng.random((6, 8)) < 0.8
        together = normaliser(responses, DAMPED, valid, free)
        shared = normaliser(responses[0], DAMPED, valid, free)
        assert together.shape == shared.shape == (6, 8, 10)
        for i in range(6):
            np.testing.assert_allclose(together[i], normaliser(responses[i], DAMPED, valid[i], free[i]), atol=1e-12)
            np.testing.assert_allclose(shared[i], normaliser(responses[0], DAMPED, valid[i], free[i]), atol=1e-12)


class TestFreeCorrectors:
    LO, HI = np.full(6, -74.0), np.full(6, 74.0)

    def test_held_only_at_a_limit_and_only_outwards(self):
        setpoint = np.array([74.0, 74.0, -74.0, -74.0, 0.0, 73.0])
        step = np.array([1.0, -1.0, 1.0, -1.0, 5.0, 5.0])
        assert free_correctors(step, setpoint, self.LO, self.HI).tolist() == [False, True, True, False, True, True]

    def test_a_model_that_asks_for_nothing_holds_nobody(self):
        assert free_correctors(np.zeros(6), self.HI, self.LO, self.HI).all()

    def test_row_i_of_a_batch_is_a_solo_run(self):
        rng = np.random.default_rng(3)
        steps, setpoints = rng.normal(size=(20, 6)), rng.choice([-74.0, 0.0, 74.0], (20, 6))
        together = free_correctors(steps, setpoints, self.LO, self.HI)
        alone = [free_correctors(s, a, self.LO, self.HI) for s, a in zip(steps, setpoints, strict=True)]
        np.testing.assert_array_equal(together, alone)


def test_columns_go_into_their_slots():
    slots = np.array([0, 1, 4, 5, 9])
    row = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    out = spread(np.stack([row, -row]), slots)
    assert out.shape == (2, SLOTS)
    np.testing.assert_array_equal(out[0], [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 5.0])
    np.testing.assert_array_equal(out[1], -out[0])


@pytest.mark.parametrize("kept", [(0, 1), (2, 3), (8, 9)])
def test_a_dead_bpm_does_not_move_what_the_others_ask_for(kept):
    """The model inverse without two channels answers only to the others."""
    rng = np.random.default_rng(4)
    response, valid = rng.normal(size=(10, 10)), np.ones(10, bool)
    valid[list(kept)] = False
    inverse = normaliser(response, DAMPED, valid)
    reading = rng.normal(size=10)
    broken = np.where(valid, reading, 1e3)
    np.testing.assert_allclose(inverse @ reading, inverse @ broken, atol=1e-9)
