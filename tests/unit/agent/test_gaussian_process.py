"""The Gaussian-process agent on smooth hills instead of machines, and agents put together. Seeds are fixed."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from beamctl.agent.composed import ApproachThenGpAgent, DesignAgent
from beamctl.agent.gaussian_process import GaussianProcessAgent, GpFamily, GpParameters, Posterior, Prior
from beamctl.agent.registry import Registry, load_gp_parameters
from beamctl.errors import IncompatibleAgentError
from beamctl.task.problem import limited_step
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

K = 3
NOISE_MA = 0.005


def family(centre, sharpness=20.0):
    metric = tuple(map(tuple, sharpness * np.eye(K)))
    return GpFamily(
        height=0.8, centre=tuple(centre), bump=metric, metric=metric, amplitude=0.4, offset=0.3, noise=0.002, floor=0.2
    )


PREFERRED, OTHER = family([0.8, 0.8, 0.5]), family([0.2, 0.2, 0.5])
BOTH = GpParameters(families=(PREFERRED, OTHER))
HILLS = np.array([[0.76, 0.83, 0.57], [0.26, 0.17, 0.44]])
"""where a machine really has its maxima"""


@pytest.fixture
def problem():
    lo, hi = np.array([100.0, 100.0, -50.0]), np.array([300.0, 340.0, 50.0])
    return TransmissionProblem(
        task="hills", knobs=("a", "b", "c"), slots=np.arange(K), lo_a=lo, hi_a=hi, step_a=0.06 * (hi - lo),
        optimum_a=lo + 0.5 * (hi - lo), floor_ma=0.01, noise_ma=NOISE_MA, source_ma=1.5, max_steps=30,
        target_transmission=0.85,
    )  # fmt: skip


def to_range(problem, setpoint_a):
    return (setpoint_a - problem.lo_a) / (problem.hi_a - problem.lo_a)


def mfc1_ma(problem, setpoint_a):
    x = to_range(problem, setpoint_a)
    first, second = (np.exp(-15.0 * np.square(x - hill).sum(axis=-1)) for hill in HILLS)
    return 1.5 * first + 1.4 * second


def episode(agent, problem, starts, seed=0):
    """Setpoints and true MFC1, (n, t, k) and (n, t)."""
    rng = np.random.default_rng(seed)
    agent.start(problem)
    setpoint = [problem.lo_a + (problem.hi_a - problem.lo_a) * np.atleast_2d(starts)]
    reading = []
    for left in range(problem.max_steps, 0, -1):
        mfc1 = mfc1_ma(problem, setpoint[-1])
        reading.append(np.stack([mfc1, mfc1], axis=-1) + NOISE_MA * rng.standard_normal((len(mfc1), 2)))
        view = TransmissionView(np.stack(setpoint, axis=1), np.stack(reading, axis=1), setpoint[-1], left)
        setpoint.append(limited_step(problem, setpoint[-1], agent.propose(view)))
    where = np.stack(setpoint, axis=1)
    return where, mfc1_ma(problem, where)


def view_of(problem, x, mfc1, left=10):
    where = problem.lo_a + (problem.hi_a - problem.lo_a) * np.asarray(x)
    reading = np.stack([mfc1, mfc1], axis=-1)
    return TransmissionView(where[None], reading[None], where[None, -1], left)


class TestSearch:
    @pytest.mark.parametrize("start", [[0.5, 0.5, 0.5], [0.9, 0.5, 0.2], [0.3, 0.9, 0.9]])
    def test_ends_within_a_per_cent_of_the_best(self, problem, start):
        where, value = episode(GaussianProcessAgent(BOTH), problem, start)
        assert value[0, -1] > 0.99 * 1.5
        assert np.all(np.abs(np.diff(where, axis=1)) <= problem.step_a + 1e-9)
        assert np.all((where >= problem.lo_a) & (where <= problem.hi_a))

    def test_begins_in_the_dark_where_nothing_is_read(self, problem):
        _, value = episode(GaussianProcessAgent(BOTH), problem, [0.5, 0.0, 1.0])
        assert value[0, 0] < 0.05
        assert value[0, -1] > 0.95 * 1.5

    def test_the_last_setting_is_one_that_was_visited(self, problem):
        where, _ = episode(GaussianProcessAgent(BOTH), problem, [0.5, 0.4, 0.5])
        away = np.abs(to_range(problem, where[0, :-1]) - to_range(problem, where[0, -1])).max(axis=1)
        assert away.min() < 1e-9

    def test_two_knobs_of_three_work_as_well(self, problem):
        two = replace(
            problem, knobs=("a", "b"), slots=np.arange(2), lo_a=problem.lo_a[:2], hi_a=problem.hi_a[:2],
            step_a=problem.step_a[:2], optimum_a=problem.optimum_a[:2],
        )  # fmt: skip
        agent = GaussianProcessAgent(BOTH)
        agent.start(two)
        where = two.lo_a + 0.5 * (two.hi_a - two.lo_a)
        change = agent.propose(TransmissionView(where[None, None], np.full((1, 1, 2), 0.3), where[None], 5))
        assert change.shape == (1, 2)
        assert np.abs(change).max() > 0.0


class TestFamilies:
    def first_steps(self, problem, start, **changes):
        agent = GaussianProcessAgent(BOTH.model_copy(update=changes))
        where, _ = episode(agent, problem, start)
        return to_range(problem, where[0])

    def test_the_preferred_one_is_taken_even_if_it_is_further(self, problem):
        x = self.first_steps(problem, [0.35, 0.35, 0.5])
        assert np.abs(x[-1] - HILLS[0]).max() < 0.15

    def test_the_nearest_is_taken_where_time_is_short(self, problem):
        slow = replace(problem, step_a=0.5 * problem.step_a)
        x = self.first_steps(slow, [0.35, 0.35, 0.5], reserve=18)
        assert np.abs(x[-1] - HILLS[1]).max() < 0.15


class TestProposals:
    def test_row_i_of_a_batch_is_a_solo_run(self, problem):
        starts = np.random.default_rng(3).random((4, K))
        agent = GaussianProcessAgent(BOTH)
        agent.start(problem)
        where = problem.lo_a + (problem.hi_a - problem.lo_a) * starts[:, None]
        reading = np.random.default_rng(4).uniform(0.0, 1.0, (4, 1, 2))
        together = agent.propose(TransmissionView(where, reading, where[:, -1], 20))
        for i in range(4):
            alone = agent.propose(TransmissionView(where[i : i + 1], reading[i : i + 1], where[i : i + 1, -1], 20))
            np.testing.assert_array_equal(alone[0], together[i])

    def test_the_same_view_gives_the_same_proposal(self, problem):
        agent = GaussianProcessAgent(BOTH)
        agent.start(problem)
        view = view_of(problem, np.full((3, K), 0.4), np.array([0.2, 0.21, 0.19]))
        first = agent.propose(view)
        agent.propose(view_of(problem, np.full((2, K), 0.7), np.array([0.5, 0.6])))
        np.testing.assert_array_equal(agent.propose(view), first)

    @pytest.mark.parametrize("mfc1", [0.0, -0.02, 2.5])
    def test_are_finite_whatever_is_read(self, problem, mfc1):
        agent = GaussianProcessAgent(BOTH)
        agent.start(problem)
        change = agent.propose(view_of(problem, np.full((30, K), 0.4), np.full(30, mfc1)))
        assert np.isfinite(change).all()

    def test_a_knob_without_a_place_is_refused(self, problem):
        with pytest.raises(IncompatibleAgentError, match="knows 3 knobs"):
            GaussianProcessAgent(BOTH).start(replace(problem, slots=np.array([0, 1, 3])))


class TestPosterior:
    def test_follows_readings_and_grows_unsure_away_from_them(self):
        prior = Prior.of(PREFERRED, np.arange(K))
        x = np.array([[0.7, 0.8, 0.5], [0.8, 0.7, 0.5]])
        level = np.array([0.9, 0.6])
        posterior = Posterior(prior, x, level, noise=1e-4)
        np.testing.assert_allclose(posterior.bound(x, 0.0), np.log(level + prior.floor), atol=1e-3)
        far = np.array([[0.1, 0.1, 0.1]])
        unsure = posterior.bound(far, 1.0) - posterior.bound(far, 0.0)
        sure = posterior.bound(x, 1.0) - posterior.bound(x, 0.0)
        assert unsure > 50 * sure.max()

    def test_what_one_reading_says_of_the_source_holds_everywhere(self):
        prior = Prior.of(PREFERRED, np.arange(K))
        x, far = np.array([[0.8, 0.8, 0.5]]), np.array([[0.1, 0.9, 0.1]])
        bright = Posterior(prior, x, np.array([1.1]), 1e-3).bound(far, 0.0)
        faint = Posterior(prior, x, np.array([0.3]), 1e-3).bound(far, 0.0)
        assert bright > faint


class TestComposed:
    def test_the_design_is_driven_to_and_all_knobs_arrive_together(self, problem):
        agent = DesignAgent()
        where, _ = episode(agent, problem, [0.1, 0.5, 0.6])
        np.testing.assert_allclose(where[0, -1], problem.optimum_a)
        way = (where[0, 0] - where[0]) / (where[0, 0] - problem.optimum_a + 1e-300)
        np.testing.assert_allclose(way[:7, 0], way[:7, 2], atol=1e-9)

    @pytest.mark.parametrize(("share", "steps"), [(1.0, 3), (0.5, 6)])
    def test_the_approach_has_its_steps_then_the_search_takes_over(self, problem, share, steps):
        slow = replace(problem, step_a=share * problem.step_a)
        agent = ApproachThenGpAgent("design+gp", DesignAgent(), BOTH)
        approach = DesignAgent()
        approach.start(slow)
        agent.start(slow)
        assert (agent.name, agent.identity) == ("design+gp", "design+gp")
        for t in (1, steps):
            view = view_of(slow, np.full((t, K), 0.4), np.linspace(0.1, 0.2, t))
            np.testing.assert_array_equal(agent.propose(view), approach.propose(view))
        view = view_of(slow, np.full((steps + 1, K), 0.4), np.linspace(0.1, 0.2, steps + 1))
        gp = GaussianProcessAgent(BOTH, since=steps)
        gp.start(slow)
        np.testing.assert_array_equal(agent.propose(view), gp.propose(view))

    def test_ends_at_the_top(self, problem):
        _, value = episode(ApproachThenGpAgent("design+gp", DesignAgent(), BOTH), problem, [0.4, 0.6, 0.5])
        assert value[0, -1] > 0.99 * 1.5


class TestParameters:
    def test_the_shipped_agent_carries_them(self):
        parameters = load_gp_parameters(Registry([]).find("lpi-transmission"))
        assert [len(f.centre) for f in parameters.families] == [6, 6]
        assert GpParameters.model_validate_json(parameters.model_dump_json()) == parameters

    def test_an_agent_without_them_says_so(self):
        with pytest.raises(IncompatibleAgentError, match="carries no prior"):
            load_gp_parameters(Registry([]).find("cafe2-orbit"))

    def test_at_least_one_family_is_needed(self):
        with pytest.raises(ValidationError):
            GpParameters(families=())
