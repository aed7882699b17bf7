"""Judges algorithms on fixed simulated injectors, beside the best current that any setting gives each of them.

The same rule for everybody, that of the guarded run: the whole budget is spent, then the last setting counts, unless
its reading is below the best one by more than a run tolerates; then the run goes back to the best reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.agent.base import TransmissionAgent
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission import ACCT, GO_BACK_NOISES, MFC1, Array, objective
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.training.injectors import report_injectors
from beamctl.training.statistics import interval, step_percentile
from beamctl.training.transmission_best import best_reachable_ma
from beamctl.training.transmission_rollout import TransmissionRollout, transmission_rollout

PUBLISHED_TRANSMISSION = 0.85
"""what the TBSAC paper reaches within two minutes"""


@dataclass(frozen=True)
class TransmissionRow:
    """One algorithm on one scenario; transmissions and currents are true ones.

    Attributes:
        success: share of machines that end at the task's transmission or above.
        steps_median, steps_p90: until that transmission is first reached; None: more than half, or 10 %, never do.
        initial_mean, final_mean, final_p05, final_p95, final_max: transmission, 0 without beam.
        best_reachable_mean: MFC1 relative to the source at the machine's best setting, mean; see
            :func:`~beamctl.training.transmission_best.best_reachable_ma`.
        within_2pct, within_5pct: share of machines that end within so much of their best MFC1.
        mfc1_over_best_mean: MFC1 at the end over the machine's best, mean.
        steps_to_085_median: steps until a transmission of 0.85 is first reached; None: more than half never do.
        worse_than_start: share of machines that end with less MFC1 than they were found with.
        acct_initial_mean_ma, acct_final_mean_ma: current in front of the RFQ.
    """

    scenario: str
    algorithm: str
    success: float
    success_ci: tuple[float, float]
    steps_median: float | None
    steps_p90: float | None
    initial_mean: float
    final_mean: float
    final_mean_ci: tuple[float, float]
    final_p05: float
    final_p95: float
    final_max: float
    best_reachable_mean: float
    within_2pct: float
    within_5pct: float
    mfc1_over_best_mean: float
    mfc1_over_best_ci: tuple[float, float]
    worse_than_start: float
    steps_to_085_median: float | None
    acct_initial_mean_ma: float
    acct_final_mean_ma: float


@dataclass(frozen=True)
class Pairing:
    """The agent beside a reference, machine by machine.

    Attributes:
        gain_mean: MFC1 over best at the end, the agent's minus the reference's, mean.
        ahead: share of machines on which the agent ends with more.
        steps_saved_mean: steps to the task's transmission, the reference's minus the agent's, mean; who never gets
            there counts with one step more than the budget.
    """

    scenario: str
    reference: str
    gain_mean: float
    gain_ci: tuple[float, float]
    ahead: float
    steps_saved_mean: float
    steps_saved_ci: tuple[float, float]


@dataclass(frozen=True)
class Course:
    """What became of the machines, for plots.

    Attributes:
        transmission: true, 0 without beam, shape (n, s + 1).
        acct_ma: true, same shape.
        of_best: MFC1 at the end over the machine's best, shape (n,).
        steps: to the task's transmission, infinite where it is never reached, shape (n,).
    """

    transmission: Array
    acct_ma: Array
    of_best: Array
    steps: Array


@dataclass(frozen=True)
class TransmissionEvaluation:
    """All rows of a report, and the courses behind them by (scenario, algorithm)."""

    task: str
    agent: str
    seed: int
    machines: int
    target_transmission: float
    max_steps: int
    step_percent: float
    rows: tuple[TransmissionRow, ...]
    pairings: tuple[Pairing, ...]
    courses: Mapping[tuple[str, str], Course]

    def summary(self) -> dict[str, object]:
        """What goes into ``summary.json``."""
        head = {"task": self.task, "agent": self.agent, "seed": self.seed, "machines": self.machines}
        more = {k: getattr(self, k) for k in ("target_transmission", "max_steps", "step_percent")}
        rows, pairings = ([asdict(x) for x in xs] for xs in (self.rows, self.pairings))
        return {**head, **more, "rows": rows, "pairings": pairings}


def evaluate_transmission(
    machine: InjectorDescription,
    problem: TransmissionProblem,
    agents: Mapping[str, TransmissionAgent],
    scenarios: Sequence[str],
    *,
    families_a: Array,
    seed: int,
    machines: int,
    best_ma: dict[str, Array] | None = None,
) -> TransmissionEvaluation:
    """Run every agent on the same machines of every scenario, with the same noise.

    Args:
        machine: the description.
        problem: task with budget and step limit.
        agents: by algorithm, the one that the report is about first.
        scenarios: names, see :func:`~beamctl.engine.simulated.injector_scenarios.injector_scenarios`.
        families_a: where the search for the best reachable current begins, all knobs, A, shape (families, 6).
        seed: of the machines, their noise and the bootstrap.
        machines: how many per scenario.
        best_ma: best reachable MFC1 by scenario; what is missing is searched for and put there, so that it can be
            used again with the same machines and knobs.
    """
    known = {} if best_ma is None else best_ma
    rows: list[TransmissionRow] = []
    pairings: list[Pairing] = []
    courses: dict[tuple[str, str], Course] = {}
    for scenario in scenarios:
        batch = report_injectors(machine, problem.task, scenario, seed, machines)
        runs = {}
        for name, agent in agents.items():
            batch.restart(np.random.default_rng(seed))
            agent.start(problem)
            runs[name] = transmission_rollout(agent, batch, problem)
        if scenario not in known:
            known[scenario] = best_reachable_ma(batch, problem, families_a)
        best = np.max([known[scenario], *(run.true_ma[..., MFC1].max(axis=1) for run in runs.values())], axis=0)
        for name, run in runs.items():
            end = end_of(run, problem)
            course = _course(run, end, best, problem)
            courses[(scenario, name)] = course
            rows.append(_row(scenario, name, run, end, course, best, problem, np.random.default_rng(seed)))
        first, *references = runs
        rng = np.random.default_rng(seed)
        pairings += [_paired(scenario, r, courses[(scenario, first)], courses[(scenario, r)], rng) for r in references]
    share = float((problem.step_a / (problem.hi_a - problem.lo_a)).max())
    return TransmissionEvaluation(
        problem.task, next(iter(agents.values())).identity, seed, machines, problem.target_transmission,
        problem.max_steps, round(100 * share, 3), tuple(rows), tuple(pairings), courses,
    )  # fmt: skip


def end_of(run: TransmissionRollout, problem: TransmissionProblem) -> Array:
    """Number of the reading at whose setting the guarded run would end, shape (n,)."""
    value = objective(run.reading_ma, problem.floor_ma)
    stays = value[:, -1] >= value.max(axis=1) - GO_BACK_NOISES * problem.noise_ma
    return np.asarray(np.where(stays, value.shape[1] - 1, value.argmax(axis=1)))


def _course(run: TransmissionRollout, end: Array, best: Array, problem: TransmissionProblem) -> Course:
    transmission = np.nan_to_num(run.true_transmission(problem.floor_ma), nan=0.0)
    steps = _first(transmission >= problem.target_transmission)
    rows = np.arange(len(end))
    return Course(transmission, run.true_ma[..., ACCT], run.true_ma[rows, end, MFC1] / best, steps)


def _first(good: NDArray[np.bool_]) -> Array:
    """Number of the first step that is good, infinite where none is, shape (n,)."""
    return np.where(good.any(axis=1), good.argmax(axis=1), np.inf)


def _row(
    scenario: str,
    algorithm: str,
    run: TransmissionRollout,
    end: Array,
    course: Course,
    best: Array,
    problem: TransmissionProblem,
    rng: np.random.Generator,
) -> TransmissionRow:
    rows = np.arange(len(end))
    initial, final = course.transmission[:, 0], course.transmission[rows, end]
    success = final >= problem.target_transmission
    worse = run.true_ma[rows, end, MFC1] < run.true_ma[:, 0, MFC1]
    return TransmissionRow(
        scenario=scenario,
        algorithm=algorithm,
        success=float(success.mean()),
        success_ci=interval(success.astype(float), rng),
        steps_median=step_percentile(course.steps, 50),
        steps_p90=step_percentile(course.steps, 90),
        initial_mean=float(initial.mean()),
        final_mean=float(final.mean()),
        final_mean_ci=interval(final, rng),
        final_p05=float(np.percentile(final, 5)),
        final_p95=float(np.percentile(final, 95)),
        final_max=float(final.max()),
        best_reachable_mean=float((best / run.source_ma).mean()),
        within_2pct=float((course.of_best >= 0.98).mean()),
        within_5pct=float((course.of_best >= 0.95).mean()),
        mfc1_over_best_mean=float(course.of_best.mean()),
        mfc1_over_best_ci=interval(course.of_best, rng),
        worse_than_start=float(worse.mean()),
        steps_to_085_median=step_percentile(_first(course.transmission >= PUBLISHED_TRANSMISSION), 50),
        acct_initial_mean_ma=float(course.acct_ma[:, 0].mean()),
        acct_final_mean_ma=float(course.acct_ma[rows, end].mean()),
    )


def _paired(scenario: str, reference: str, own: Course, other: Course, rng: np.random.Generator) -> Pairing:
    never = own.transmission.shape[1]
    gain = own.of_best - other.of_best
    saved = np.minimum(other.steps, never) - np.minimum(own.steps, never)
    return Pairing(
        scenario, reference, float(gain.mean()), interval(gain, rng), float((gain > 0.0).mean()), float(saved.mean()),
        interval(saved, rng),
    )  # fmt: skip
