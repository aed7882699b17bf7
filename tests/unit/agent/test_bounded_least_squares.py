"""The reference solver, against a search through every active set, and against settings at random."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent, best_reachable_rms, bounded_least_squares
from beamctl.machine.loader import load_ion, load_machine
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitView

FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=40)
"""the same examples in every run"""
ENTRIES = st.floats(-3, 3, allow_subnormal=False).map(lambda x: round(x, 3))
MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)


def by_brute_force(response, wanted, lo, hi):
    """Smallest cost of all combinations of correctors held below, held above and free."""
    k, best = response.shape[1], np.inf
    for pattern in itertools.product((-1, 0, 1), repeat=k):
        held = np.array(pattern)
        x, free = np.where(held < 0, lo, hi).astype(float), held == 0
        rest = wanted - response[:, ~free] @ x[~free]
        x[free] = np.linalg.lstsq(response[:, free], rest, rcond=None)[0]
        if np.all((lo - 1e-9 <= x) & (x <= hi + 1e-9)):
            best = min(best, float(np.sum((response @ x - wanted) ** 2)))
    return best


@settings(FIXED)
@given(
    response=hnp.arrays(float, (5, 3), elements=ENTRIES),
    wanted=hnp.arrays(float, 5, elements=ENTRIES),
    middle=hnp.arrays(float, 3, elements=ENTRIES),
    width=hnp.arrays(float, 3, elements=st.sampled_from([0.0, 0.1, 1.0, 5.0])),
)
def test_nothing_inside_the_box_is_better(response, wanted, middle, width):
    lo, hi = middle - width, middle + width
    x = bounded_least_squares(response, wanted, lo, hi)
    assert np.all((lo - 1e-12 <= x) & (x <= hi + 1e-12))
    cost = float(np.sum((response @ x - wanted) ** 2))
    assert cost <= by_brute_force(response, wanted, lo, hi) * (1 + 1e-6) + 1e-6


def test_a_closed_box_is_its_only_point():
    lo = np.array([1.0, -2.0])
    np.testing.assert_allclose(bounded_least_squares(np.eye(2), np.array([9.0, 9.0]), lo, lo), lo)


def test_an_open_box_is_plain_least_squares():
    rng = np.random.default_rng(0)
    response, wanted = rng.normal(size=(10, 6)), rng.normal(size=10)
    expected = np.linalg.lstsq(response, wanted, rcond=None)[0]
    wide = np.full(6, 100.0)
    np.testing.assert_allclose(bounded_least_squares(response, wanted, -wide, wide), expected, rtol=1e-6)


class TestBestReachable:
    def test_no_setting_at_random_is_better(self):
        rng = np.random.default_rng(1)
        response, orbit = rng.normal(size=(4, 10, 6)), 5 * rng.normal(size=(4, 10))
        lo, hi = np.full(6, -1.0), np.full(6, 1.5)
        best = best_reachable_rms(response, orbit, lo, hi)
        tried = rng.uniform(lo, hi, (2000, 1, 6))
        rms = np.sqrt(np.mean((orbit + np.matvec(response, tried)) ** 2, axis=-1))
        assert best.shape == (4,)
        assert np.all(best <= rms.min(axis=0) + 1e-9)

    def test_with_enough_correctors_and_wide_limits_it_is_nothing(self):
        rng = np.random.default_rng(2)
        wide = np.full(10, 1e4)
        best = best_reachable_rms(rng.normal(size=(3, 10, 10)), rng.normal(size=(3, 10)), -wide, wide)
        np.testing.assert_allclose(best, 0.0, atol=1e-4)

    def test_correctors_that_cannot_move_leave_the_orbit(self):
        zero = np.zeros(4)
        best = best_reachable_rms(np.ones((1, 2, 4)), np.array([[3.0, 4.0]]), zero, zero)
        np.testing.assert_allclose(best, np.sqrt(12.5))


class TestAgents:
    @pytest.fixture
    def problem(self):
        return orbit_problem(MACHINE, ION, ION, "cm1-orbit")

    def reading(self, problem, setting):
        """The model's orbit at a setting."""
        orbit = problem.response_mm_per_a @ setting
        return OrbitView(np.broadcast_to(orbit, (1, 3, 10)), np.ones((1, 10), bool), setting[None])

    def test_bls_undoes_in_one_step_what_one_step_can_undo(self, problem):
        agent, setting = BoxLeastSquaresAgent(), np.random.default_rng(3).uniform(-10, 10, 10)
        agent.start(problem)
        left = problem.response_mm_per_a @ (setting + agent.propose(self.reading(problem, setting))[0])
        assert np.abs(left).max() < 0.02

    def test_bls_stays_inside_step_and_setpoint_limits_by_itself(self, problem):
        agent, setting = BoxLeastSquaresAgent(), np.where(np.arange(10) % 2, 73.0, -60.0)
        agent.start(problem)
        change = agent.propose(self.reading(problem, setting))[0]
        assert np.all(np.abs(change) <= problem.step_a + 1e-9)
        assert np.all((problem.lo_a - 1e-9 <= setting + change) & (setting + change <= problem.hi_a + 1e-9))

    def test_svd_is_the_damped_inverse_with_its_direction_kept(self, problem):
        agent, setting = SvdAgent(), np.random.default_rng(4).uniform(-60, 60, 10)
        agent.start(problem)
        view = self.reading(problem, setting)
        u, s, vt = np.linalg.svd(problem.response_mm_per_a * 15.0)
        wanted = -15.0 * (vt.T * (s / (s**2 + 0.1**2))) @ u.T @ view.history_mm[0, 2]
        change = agent.propose(view)[0]
        assert np.abs(wanted).max() > 15.0
        assert np.abs(change).max() == pytest.approx(15.0)
        np.testing.assert_allclose(change / np.abs(change).max(), wanted / np.abs(wanted).max(), atol=1e-9)
