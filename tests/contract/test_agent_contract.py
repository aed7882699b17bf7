"""What every agent promises, see beamctl/agent/base.py: one suite over all algorithms. Seeds are fixed.

A new algorithm is added to ``CASES``; the suite fails while one is missing there. Model-free references promise less,
see tests/unit/agent/test_optimisers.py.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from beamctl.agent.least_squares import best_reachable_rms
from beamctl.machine.loader import load_machine
from beamctl.settings import Settings
from beamctl.task.orbit import orbit_rms
from beamctl.task.problem import OrbitView, limited_step
from beamctl.training.machines import report_batch
from beamctl.training.rollout import rollout
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.orbit import DEFAULT_AGENT, REFERENCES


@dataclass(frozen=True)
class Case:
    """What may be expected of an algorithm.

    Attributes:
        rounding_a: how far two computations of one proposal may lie apart, A.
        median_steps: to 0.5 mm on machines as published, at most.
        success: on nominal machines, at least.
        dead_final_mm: mean true RMS with one dead BPM, at most.
    """

    rounding_a: float
    median_steps: float
    success: float
    dead_final_mm: float


CASES = {
    "tbsac": Case(rounding_a=1e-3, median_steps=6, success=0.95, dead_final_mm=0.9),
    "bls": Case(rounding_a=1e-6, median_steps=5, success=0.97, dead_final_mm=0.9),
    "svd": Case(rounding_a=1e-9, median_steps=8, success=0.8, dead_final_mm=0.9),
}
TASKS = list(load_machine("cafe2").tasks)
N = 30
"""machines of each set"""


def test_every_algorithm_has_a_case(deployment):
    assert set(CASES) == set(deployment.orbit("cm1-orbit").algorithms) - set(REFERENCES)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return Deployment(Settings(machine=("cafe2",), ion=None, prefix="", agents=tmp_path_factory.mktemp("agents")))


@pytest.fixture(scope="module", params=CASES)
def algorithm(request):
    return request.param


@pytest.fixture(scope="module")
def agent(deployment, algorithm):
    return deployment.orbit("cm1-orbit").agent(Choice(algorithm))


@pytest.fixture(scope="module")
def problem(deployment):
    return deployment.orbit("cm1-orbit").problem()


def make_view(problem, n=12, seed=0, size_mm=2.0):
    """Readings of all sizes, some dead channels, some correctors at a limit."""
    rng = np.random.default_rng(seed)
    history = size_mm * rng.standard_normal((n, 3, problem.n_channel))
    valid = rng.random((n, problem.n_channel)) < 0.85
    valid[:, :2] = True
    setpoint = rng.uniform(problem.lo_a, problem.hi_a, (n, problem.n_corrector))
    setpoint[::3, 0], setpoint[1::3, -1] = problem.lo_a[0], problem.hi_a[-1]
    return OrbitView(np.where(valid[:, None], history, 0.0), valid, setpoint)


def at_rest(problem, n=1):
    zeros = np.zeros((n, problem.n_corrector))
    return OrbitView(np.zeros((n, 3, problem.n_channel)), np.ones((n, problem.n_channel), bool), zeros)


class TestProposals:
    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("size_mm", [0.0, 1e-3, 1.0, 15.0])
    def test_are_finite_and_one_per_corrector(self, agent, deployment, task, size_mm):
        problem = deployment.orbit(task).problem()
        agent.start(problem)
        for n in (1, 7):
            view = make_view(problem, n, size_mm=size_mm)
            change = agent.propose(view)
            assert change.shape == (n, problem.n_corrector)
            assert np.isfinite(change).all()
            new = limited_step(problem, view.setpoint_a, change)
            assert np.all((problem.lo_a <= new) & (new <= problem.hi_a))

    def test_row_i_of_a_batch_is_a_solo_run(self, agent, algorithm, problem):
        agent.start(problem)
        view = make_view(problem)
        together = agent.propose(view)
        for i in range(len(together)):
            row = slice(i, i + 1)
            alone = agent.propose(OrbitView(view.history_mm[row], view.valid[row], view.setpoint_a[row]))
            np.testing.assert_allclose(alone[0], together[i], atol=CASES[algorithm].rounding_a)

    def test_the_same_view_gives_the_same_proposal(self, agent, problem):
        agent.start(problem)
        first = agent.propose(make_view(problem))
        agent.propose(make_view(problem, seed=1))
        np.testing.assert_array_equal(agent.propose(make_view(problem)), first)

    def test_a_response_per_row_is_the_same_as_one_for_all(self, agent, algorithm, problem):
        view = make_view(problem)
        agent.start(problem)
        shared = agent.propose(view)
        response = np.broadcast_to(problem.response_mm_per_a, (len(shared), *problem.response_mm_per_a.shape))
        agent.start(replace(problem, response_mm_per_a=response))
        np.testing.assert_allclose(agent.propose(view), shared, atol=CASES[algorithm].rounding_a)

    def test_a_centred_orbit_asks_for_nothing(self, agent, problem):
        agent.start(problem)
        np.testing.assert_allclose(agent.propose(at_rest(problem)), 0.0, atol=1e-4)

    def test_the_view_is_left_as_it_is(self, agent, problem):
        agent.start(problem)
        view = make_view(problem)
        agent.propose(view)
        untouched = make_view(problem)
        for field in ("history_mm", "valid", "setpoint_a"):
            np.testing.assert_array_equal(getattr(view, field), getattr(untouched, field))

    def test_an_agent_may_start_on_another_task(self, agent, deployment, problem):
        agent.start(problem)
        first = agent.propose(make_view(problem))
        other = deployment.orbit("cm2-orbit").problem()
        agent.start(other)
        assert agent.propose(make_view(other)).shape == (12, 8)
        agent.start(problem)
        np.testing.assert_array_equal(agent.propose(make_view(problem)), first)

    def test_who_proposes_is_on_record(self, agent, algorithm):
        assert agent.name == algorithm
        assert agent.identity.startswith({"tbsac": f"{DEFAULT_AGENT}@"}.get(algorithm, algorithm))


class TestDeadBpm:
    @pytest.mark.parametrize("rubbish", [9.0, -1e3])
    def test_what_a_masked_channel_reads_does_not_matter(self, agent, algorithm, problem, rubbish):
        agent.start(problem)
        view = make_view(problem)
        broken = np.where(view.valid[:, None], view.history_mm, rubbish)
        np.testing.assert_allclose(
            agent.propose(OrbitView(broken, view.valid, view.setpoint_a)),
            agent.propose(view),
            atol=max(1e-3, CASES[algorithm].rounding_a),
        )

    def test_the_orbit_at_the_others_still_falls(self, agent, algorithm, deployment, problem):
        batch = report_batch(deployment.orbit("cm1-orbit").site(), "cm1-orbit", "dead", 3, N)
        agent.start(problem)
        result = rollout(agent, batch, problem)
        assert result.final_true.mean() < CASES[algorithm].dead_final_mm
        assert result.final_true.mean() < 0.4 * result.initial_true.mean()


class TestTuning:
    @pytest.mark.parametrize("task", TASKS)
    def test_machines_as_published_are_corrected(self, agent, algorithm, deployment, task):
        batch = report_batch(deployment.orbit("cm1-orbit").site(), task, "published", 3, N)
        problem = deployment.orbit(task).problem()
        agent.start(problem)
        result = rollout(agent, batch, problem)
        assert (result.reached & (result.final_true < 0.5)).mean() >= CASES[algorithm].success
        assert np.median(result.steps) <= CASES[algorithm].median_steps
        assert np.all((result.final_true < result.initial_true) | (result.initial_true < 0.5))

    def test_nobody_is_better_than_the_best_that_any_setting_reaches(self, agent, deployment, problem):
        batch = report_batch(deployment.orbit("cm1-orbit").site(), "cm1-orbit", "mis6", 3, 20)
        patient = replace(problem, target_mm=1e-9, max_steps=10)
        agent.start(patient)
        result = rollout(agent, batch, patient)
        best = best_reachable_rms(batch.response_mm_per_a, batch.bare_mm, problem.lo_a, problem.hi_a)
        assert np.all(result.final_true >= best - 1e-6)
        assert best.max() > 0.5  # the set is hard enough to tell
        assert np.all((problem.lo_a <= result.final_setpoint_a) & (result.final_setpoint_a <= problem.hi_a))

    def test_nominal_machines_with_noise_and_offsets(self, agent, algorithm, deployment, problem):
        batch = report_batch(deployment.orbit("cm1-orbit").site(), "cm1-orbit", "nominal", 4, N)
        agent.start(problem)
        result = rollout(agent, batch, problem)
        assert result.reached.mean() >= CASES[algorithm].success
        stopped = result.final_true[result.reached]
        assert stopped.max() < 0.6
        assert result.steps[result.reached].max() <= problem.max_steps

    def test_no_step_is_taken_where_the_target_is_already_met(self, agent, deployment, problem):
        batch = report_batch(deployment.orbit("cm1-orbit").site(), "cm1-orbit", "ideal", 3, 5)
        agent.start(problem)
        result = rollout(agent, batch, problem)
        assert result.reached.all()
        assert not result.steps.any()
        moved = orbit_rms(batch.true_orbit_mm(np.full((5, 10), problem.first_move_a)))
        np.testing.assert_allclose(result.final_true, moved)
