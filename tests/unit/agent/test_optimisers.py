"""Optimisers as agents, on smooth hills instead of machines: small, exact, without a simulator. Seeds are fixed."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.optimisers import bayesian
from beamctl.agent.optimisers.agent import OPTIMISERS, optimiser_agent
from beamctl.errors import AgentError, IncompatibleAgentError, UnknownNameError
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

FREE = [name for name in OPTIMISERS if not name.startswith("bo")]
"""those that need no optional package"""
HILL = np.array([0.55, 0.45, 0.6])
START = np.array([0.3, 0.7, 0.45])


@pytest.fixture
def problem():
    lo, hi = np.array([100.0, 100.0, -50.0]), np.array([300.0, 340.0, 50.0])
    return TransmissionProblem(
        task="hill", knobs=("a", "b", "c"), slots=np.arange(3), lo_a=lo, hi_a=hi, step_a=0.06 * (hi - lo),
        optimum_a=lo + 0.5 * (hi - lo), floor_ma=0.01, noise_ma=0.001, source_ma=1.5, max_steps=80,
        target_transmission=0.85,
    )  # fmt: skip


def hill_ma(problem, setpoint_a):
    x = (setpoint_a - problem.lo_a) / (problem.hi_a - problem.lo_a)
    return 1.5 * np.exp(-4.0 * np.square(x - HILL).sum(axis=-1))


def climb(agent, problem, starts, again=()):
    """Run an agent; returns setpoints and MFC1, (n, t, k) and (n, t). Steps in ``again`` are proposed twice."""
    agent.start(problem)
    setpoint = [problem.lo_a + (problem.hi_a - problem.lo_a) * np.atleast_2d(starts)]
    for step in range(problem.max_steps):
        where = np.stack(setpoint, axis=1)
        mfc1 = hill_ma(problem, where)
        view = TransmissionView(where, np.stack([mfc1, mfc1], axis=-1), setpoint[-1], problem.max_steps - step)
        change = agent.propose(view)
        if step in again:
            np.testing.assert_array_equal(agent.propose(view), change)
        setpoint.append(limited_step(problem, setpoint[-1], change))
    where = np.stack(setpoint, axis=1)
    return where, hill_ma(problem, where)


@pytest.mark.parametrize("name", FREE)
class TestEveryOptimiser:
    def test_climbs_in_steps_and_ends_at_its_best_reading(self, name, problem):
        where, value = climb(optimiser_agent(name), problem, START)
        assert np.all(np.abs(np.diff(where, axis=1)) <= problem.step_a + 1e-9)
        assert value[0, -1] == pytest.approx(value.max(), rel=1e-9)
        assert value[0, -1] > value[0, 0]

    def test_every_row_is_a_solo_run(self, name, problem):
        starts = np.array([START, [0.0, 1.0, 0.5], [0.9, 0.1, 0.1]])
        together, _ = climb(optimiser_agent(name), problem, starts)
        for i in range(3):
            alone, _ = climb(optimiser_agent(name), problem, starts[i])
            np.testing.assert_array_equal(alone[0], together[i])

    def test_a_void_step_is_proposed_again(self, name, problem):
        once, _ = climb(optimiser_agent(name), problem, START)
        twice, _ = climb(optimiser_agent(name), problem, START, again=range(0, 80, 3))
        np.testing.assert_array_equal(once, twice)

    def test_stays_inside_limits_from_a_corner(self, name, problem):
        where, value = climb(optimiser_agent(name), problem, np.zeros(3))
        assert np.all((where >= problem.lo_a - 1e-9) & (where <= problem.hi_a + 1e-9))
        assert value[0, -1] >= value[0, 0]

    def test_a_flat_landscape_ends_where_it_began(self, name, problem):
        agent = optimiser_agent(name)
        short = replace(problem, max_steps=20)
        agent.start(short)
        start = short.lo_a + 0.5 * (short.hi_a - short.lo_a)
        setpoint, where = start[None], [start[None]]
        for step in range(20):
            seen = np.stack(where, axis=1)
            view = TransmissionView(seen, np.zeros((1, len(where), 2)), setpoint, 20 - step)
            setpoint = limited_step(short, setpoint, agent.propose(view))
            where.append(setpoint)
        np.testing.assert_allclose(setpoint[0], start, atol=1e-9)

    def test_takes_orbits_as_well(self, name):
        k = 4
        orbit = OrbitProblem(
            task="orbit", response_mm_per_a=np.eye(k), lo_a=np.full(k, -10.0), hi_a=np.full(k, 10.0),
            step_a=np.full(k, 1.0), first_move_a=0.3, slots=np.arange(k), target_mm=0.1, max_steps=120,
        )  # fmt: skip
        agent = optimiser_agent(name)
        agent.start(orbit)
        bare, setpoint = np.array([[2.0, -1.5, 1.0, 2.5]]), np.zeros((1, k))
        rms = []
        for _ in range(orbit.max_steps):
            reading = bare + setpoint
            rms.append(np.sqrt(np.mean(np.square(reading))))
            view = OrbitView(np.repeat(reading[:, None], 3, axis=1), np.ones((1, k), bool), setpoint)
            setpoint = limited_step(orbit, setpoint, agent.propose(view))
        final = np.sqrt(np.mean(np.square(bare + setpoint)))
        assert final == pytest.approx(min(rms), rel=1e-6)
        assert final < rms[0]


class TestHowFar:
    @pytest.mark.parametrize(("name", "share"), [("nelder-mead", 0.9), ("rcds", 0.97)])
    def test_direct_searches_find_a_smooth_hill(self, name, share, problem):
        _, value = climb(optimiser_agent(name), replace(problem, max_steps=160), START)
        assert value[0, -1] > share * 1.5

    def test_the_grid_reads_an_area_of_the_solenoids_only(self, problem):
        where, _ = climb(optimiser_agent("grid"), replace(problem, max_steps=30), np.full(3, 0.5))
        moved = np.ptp(where[0], axis=0) / problem.step_a
        np.testing.assert_allclose(moved, [5.0, 5.0, 0.0], atol=1e-6)

    def test_extremum_seeking_uses_every_step(self, problem):
        where, _ = climb(optimiser_agent("es"), problem, START)
        assert np.all(np.abs(np.diff(where[0], axis=0)).max(axis=1) > 0.0)


@pytest.mark.parametrize("name", ["bo", "bo-trust"])
class TestBayesian:
    """Needs the optional extra."""

    def test_climbs_the_same_way_each_time_and_ends_at_its_best_reading(self, name, problem):
        pytest.importorskip("xopt")
        short = replace(problem, max_steps=12)
        where, value = climb(optimiser_agent(name), short, START, again=(5,))
        again, _ = climb(optimiser_agent(name), short, START)
        np.testing.assert_array_equal(where, again)
        assert value[0, -1] == pytest.approx(value.max(), rel=1e-9)
        assert value[0, -1] > value[0, 0]


class TestNames:
    def test_unknown_ones_list_those_that_exist(self):
        with pytest.raises(UnknownNameError, match="nelder-mead"):
            optimiser_agent("simplex")

    def test_a_missing_package_is_named_with_its_extra(self, monkeypatch):
        monkeypatch.setattr(bayesian, "find_spec", lambda name: None)
        with pytest.raises(AgentError, match=r"pip install 'beamctl\[bo\]'"):
            optimiser_agent("bo")

    def test_a_view_of_the_other_task_is_refused(self, problem):
        agent = optimiser_agent("rcds")
        orbit = OrbitProblem(
            task="orbit", response_mm_per_a=np.eye(3), lo_a=problem.lo_a, hi_a=problem.hi_a, step_a=problem.step_a,
            first_move_a=0.3, slots=np.arange(3), target_mm=0.1, max_steps=5,
        )  # fmt: skip
        agent.start(orbit)
        reading = np.zeros((1, 1, 2))
        with pytest.raises(IncompatibleAgentError, match="another kind"):
            agent.propose(TransmissionView(problem.lo_a[None, None], reading, problem.lo_a[None], 5))
