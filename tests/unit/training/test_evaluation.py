"""Reports: what stands in them, that it is reproducible, and what it says of an agent that does nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent
from beamctl.task.from_description import orbit_problem
from beamctl.task.orbit import orbit_rms
from beamctl.training.evaluate import evaluate
from beamctl.training.machines import report_batch
from beamctl.training.report import write_report

REQUIRED = {
    "scenario", "algorithm", "success", "success_ci", "steps_median", "steps_p90", "initial_mean", "final_mean",
    "final_mean_ci", "final_p95", "final_max", "best_reachable_mean",
}  # fmt: skip
N = 12


class Idle:
    """Proposes nothing."""

    name = "idle"
    identity = "idle@test"

    def start(self, problem):
        self._k = problem.n_corrector

    def propose(self, view):
        return np.zeros((len(view.setpoint_a), self._k))


@pytest.fixture(scope="module")
def problem(site):
    return replace(orbit_problem(site.machine, site.design, site.ion, "cm1-orbit"), max_steps=10)


@pytest.fixture(scope="module")
def run(site, problem):
    def run(agents, scenarios, seed=1, machines=N):
        return evaluate(site, problem, agents, scenarios, seed=seed, machines=machines)

    return run


@pytest.fixture(scope="module")
def evaluation(run):
    return run({"svd": SvdAgent(), "idle": Idle()}, ["published", "nominal"])


def row_of(evaluation, scenario, algorithm):
    return next(r for r in evaluation.rows if (r.scenario, r.algorithm) == (scenario, algorithm))


def test_summary_has_the_agreed_form(evaluation):
    summary = json.loads(json.dumps(evaluation.summary()))
    head = {k: summary[k] for k in ("task", "agent", "seed", "machines")}
    assert head == {"task": "cm1-orbit", "agent": "svd", "seed": 1, "machines": N}
    assert [(r["scenario"], r["algorithm"]) for r in summary["rows"]] == [
        (s, a) for s in ("published", "nominal") for a in ("svd", "idle")
    ]
    for row in summary["rows"]:
        assert set(row) >= REQUIRED
        assert [len(row[k]) for k in ("success_ci", "final_mean_ci")] == [2, 2]
        for key in ("success", "final_mean"):
            assert row[f"{key}_ci"][0] <= row[key] <= row[f"{key}_ci"][1]
        assert 0 <= row["success"] <= 1
        assert row["final_mean"] <= row["final_p95"] <= row["final_max"]
        assert row["best_reachable_mean"] <= row["final_mean"]
        assert all(isinstance(row[k], float) for k in REQUIRED if k.endswith("mean"))


def test_who_does_nothing_never_gets_there(evaluation, problem, site):
    row = row_of(evaluation, "published", "idle")
    assert row.success == 0.0
    assert row.success_ci == (0.0, 0.0)
    assert row.steps_median is None
    assert row.steps_p90 is None
    batch = report_batch(site, "cm1-orbit", "published", 1, N)
    np.testing.assert_allclose(row.initial_mean, orbit_rms(batch.true_orbit_mm(batch.start_a)).mean())
    moved = orbit_rms(batch.true_orbit_mm(batch.start_a + problem.first_move_a))
    np.testing.assert_allclose(row.final_mean, moved.mean())
    np.testing.assert_allclose(row.final_max, moved.max())


def test_steps_are_counted_over_all_machines(evaluation):
    row = row_of(evaluation, "published", "svd")
    assert row.success > 0.7
    assert 2 <= row.steps_median <= row.steps_p90 if row.steps_p90 is not None else row.success < 0.95
    assert row.final_mean < 0.3 * row.initial_mean


@pytest.mark.parametrize(
    ("share", "has_median", "has_p90"), [(1.0, True, True), (0.7, True, False), (0.3, False, False)]
)
def test_no_median_where_more_than_half_never_get_there(run, share, has_median, has_p90):
    class Sometimes(BoxLeastSquaresAgent):
        """Helps the first machines of a batch only."""

        def propose(self, view):
            helped = np.arange(len(view.valid)) < share * len(view.valid)
            return super().propose(view) * helped[:, None]

    row = run({"sometimes": Sometimes()}, ["published"], machines=10).rows[0]
    assert row.success == pytest.approx(share)
    assert (row.steps_median is not None, row.steps_p90 is not None) == (has_median, has_p90)


def test_every_algorithm_meets_the_same_machines(evaluation):
    for scenario in ("published", "nominal"):
        svd, idle = (row_of(evaluation, scenario, a) for a in ("svd", "idle"))
        assert svd.initial_mean == idle.initial_mean
        assert svd.best_reachable_mean == idle.best_reachable_mean
        np.testing.assert_array_equal(evaluation.initial[(scenario, "svd")], evaluation.initial[(scenario, "idle")])


def test_the_same_seed_gives_the_same_report_and_another_one_does_not(run, evaluation):
    again = run({"svd": SvdAgent(), "idle": Idle()}, ["published", "nominal"])
    assert again.summary() == evaluation.summary()
    other = run({"idle": Idle()}, ["published"], seed=2)
    assert other.rows[0].initial_mean != row_of(evaluation, "published", "idle").initial_mean


def test_a_scenario_does_not_depend_on_those_before_it(run, evaluation):
    alone = run({"svd": SvdAgent()}, ["nominal"])
    assert alone.rows[0] == row_of(evaluation, "nominal", "svd")


def test_report_files(evaluation, tmp_path):
    written = write_report(evaluation, tmp_path / "deep" / "report")
    assert [p.name for p in written] == ["report.md", "summary.json", "rms_published.png", "rms_nominal.png"]
    report, summary, *plots = written
    assert json.loads(summary.read_text()) == json.loads(json.dumps(evaluation.summary()))
    text = report.read_text()
    assert text.startswith("# cm1-orbit: svd\n")
    assert "| published | idle | 0.0 % (0.0 to 0.0) | never / never |" in text
    assert all(f"({plot.name})" in text for plot in plots)
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)
