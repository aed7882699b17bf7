"""Reports on the transmission, priors and families, on few injectors with few steps. Seeds are fixed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.composed import DesignAgent
from beamctl.agent.gaussian_process import GaussianProcessAgent, GpParameters
from beamctl.machine.loader import load_machine
from beamctl.training import gp_prior, transmission_best
from beamctl.training.gp_prior import fit_family, survey
from beamctl.training.injectors import prior_injectors, report_injectors, whole_problem
from beamctl.training.transmission_best import best_reachable_ma
from beamctl.training.transmission_evaluate import end_of, evaluate_transmission
from beamctl.training.transmission_report import write_transmission_report
from beamctl.training.transmission_rollout import TransmissionRollout, transmission_rollout

N = 3
REQUIRED = {
    "scenario", "algorithm", "success", "success_ci", "steps_median", "steps_p90", "initial_mean", "final_mean",
    "final_mean_ci", "final_p95", "final_max", "best_reachable_mean", "within_2pct", "within_5pct",
    "mfc1_over_best_mean", "worse_than_start", "acct_initial_mean_ma", "acct_final_mean_ma",
}  # fmt: skip


class Idle:
    """Proposes nothing."""

    name = "idle"
    identity = "idle@test"

    def start(self, problem):
        pass

    def propose(self, view):
        return np.zeros_like(view.setpoint_a)


@pytest.fixture(scope="module")
def lpi():
    return load_machine("lpi")


@pytest.fixture(scope="module")
def problem(lpi):
    return replace(whole_problem(lpi), max_steps=12)


@pytest.fixture(scope="module")
def families(problem):
    return problem.optimum_a[None]


@pytest.fixture(scope="module")
def seen(lpi, problem, families):
    return survey(prior_injectors(lpi, 0, 16), problem, families[0], np.random.default_rng(0))


@pytest.fixture(scope="module", autouse=True)
def short_search():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission_best, "GENERATIONS", 3)
        yield


@pytest.fixture(scope="module")
def evaluation(lpi, problem, families):
    agents = {"design": DesignAgent(), "idle": Idle()}
    return evaluate_transmission(lpi, problem, agents, ["nominal", "dark"], families_a=families, seed=1, machines=N)


class TestEvaluation:
    def test_summary_has_the_agreed_form(self, evaluation):
        summary = json.loads(json.dumps(evaluation.summary()))
        head = {k: summary[k] for k in ("task", "agent", "seed", "machines")}
        assert head == {"task": "rfq-transmission", "agent": "design", "seed": 1, "machines": N}
        assert [(r["scenario"], r["algorithm"]) for r in summary["rows"]] == [
            (s, a) for s in ("nominal", "dark") for a in ("design", "idle")
        ]
        for row in summary["rows"]:
            assert set(row) >= REQUIRED
            assert row["final_p05"] <= row["final_mean"] <= row["final_max"]
            assert 0.0 <= row["within_2pct"] <= row["within_5pct"] <= 1.0
            assert 0.0 < row["mfc1_over_best_mean"] <= 1.0 or row["algorithm"] == "idle"

    def test_who_does_nothing_stays_where_it_was(self, evaluation):
        for row in (r for r in evaluation.rows if r.algorithm == "idle"):
            assert (row.success, row.worse_than_start, row.steps_median) == (0.0, 0.0, None)
            assert row.final_mean == row.initial_mean
        dark = next(r for r in evaluation.rows if (r.scenario, r.algorithm) == ("dark", "idle"))
        assert dark.acct_initial_mean_ma < 0.05

    def test_pairs_compare_the_same_machines(self, evaluation):
        assert [(p.scenario, p.reference) for p in evaluation.pairings] == [("nominal", "idle"), ("dark", "idle")]
        for p in evaluation.pairings:
            assert p.gain_ci[0] <= p.gain_mean <= p.gain_ci[1]
            assert p.gain_mean > 0.2
            assert p.steps_saved_mean >= 0.0

    def test_the_same_seed_gives_the_same_rows_and_known_bests_are_used(self, lpi, problem, families, evaluation):
        known = {"dark": np.full(N, 10.0)}
        again = evaluate_transmission(
            lpi, problem, {"design": DesignAgent()}, ["nominal", "dark"], families_a=families, seed=1, machines=N,
            best_ma=known,
        )  # fmt: skip
        assert again.rows[0].final_mean == evaluation.rows[0].final_mean
        assert again.rows[1].mfc1_over_best_mean < 0.2
        assert set(known) == {"nominal", "dark"}

    def test_report_has_tables_and_plots(self, evaluation, tmp_path):
        report, summary, *plots = write_transmission_report(evaluation, tmp_path)
        text = report.read_text(encoding="utf-8")
        assert "| nominal | design |" in text
        assert "| nominal | idle |" in text
        assert json.loads(summary.read_text(encoding="utf-8"))["machines"] == N
        names = [f"{kind}_{s}.png" for s in ("nominal", "dark") for kind in ("course", "best")]
        assert [p.name for p in plots] == names
        assert all(p.stat().st_size > 5000 and p.name in text for p in plots)


def test_a_run_ends_at_the_last_setting_unless_it_is_clearly_worse(problem):
    noise = problem.noise_ma
    mfc1 = np.array([[0.2, 1.0, 1.0 - 1.5 * noise], [0.2, 1.0, 1.0 - 3.0 * noise], [1.0, 0.5, 0.4]])
    reading = np.stack([mfc1 + 0.1, mfc1], axis=-1)
    run = TransmissionRollout(reading, reading, np.zeros((3, 3, 6)), np.full(3, 1.5))
    np.testing.assert_array_equal(end_of(run, problem), [2, 1, 0])


class TestBest:
    def test_no_agent_is_better_and_more_search_never_worse(self, lpi, problem, families, monkeypatch):
        batch = report_injectors(lpi, problem.task, "nominal", 2, N)
        few = best_reachable_ma(batch, problem, families)
        monkeypatch.setattr(transmission_best, "GENERATIONS", 12)
        more = best_reachable_ma(batch, problem, families)
        assert np.all(more >= few)
        assert np.all(more <= batch.source_ma)
        assert np.all(more > 0.8 * batch.source_ma)


class TestPrior:
    def test_a_survey_begins_where_the_machine_is_found(self, lpi, problem, seen):
        x, level = seen
        start = (prior_injectors(lpi, 0, 16).start_a - problem.lo_a) / (problem.hi_a - problem.lo_a)
        np.testing.assert_allclose(x[:, 0], start)
        assert x.shape == (16, gp_prior.WAY + gp_prior.AROUND, 6)
        assert level.shape == x.shape[:2]
        assert level.min() >= 0.0

    def test_a_fit_is_the_same_each_time_and_finds_the_ridge(self, problem, families, seen):
        centre = (families[0] - problem.lo_a) / (problem.hi_a - problem.lo_a)
        noise = problem.noise_ma / problem.source_ma
        family = fit_family(*seen, centre, noise, iterations=60)
        assert fit_family(*seen, centre, noise, iterations=60) == family
        bump = np.array(family.bump)
        assert bump[0, 1] > 0.0  # more of one solenoid is made up for by less of the other
        assert np.linalg.eigvalsh(bump).min() > 0.0
        assert np.abs(np.array(family.centre) - centre).max() < 0.2

    def test_the_agent_climbs_with_it(self, lpi, problem, families, seen):
        centre = (families[0] - problem.lo_a) / (problem.hi_a - problem.lo_a)
        family = fit_family(*seen, centre, problem.noise_ma / problem.source_ma, iterations=60)
        agent = GaussianProcessAgent(GpParameters(families=(family,), reserve=0))
        batch = report_injectors(lpi, problem.task, "nominal", 3, 6)
        agent.start(problem)
        eta = transmission_rollout(agent, batch, problem).eta
        assert eta[:, -1].mean() > 0.7
        assert eta[:, -1].mean() > eta[:, 0].mean() + 0.3
