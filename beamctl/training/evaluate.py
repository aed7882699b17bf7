"""Judges algorithms on fixed simulated machines, beside what any setting could reach at all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from beamctl.agent.base import OrbitAgent
from beamctl.agent.least_squares import best_reachable_rms
from beamctl.task.orbit import Array
from beamctl.task.problem import OrbitProblem
from beamctl.training.machines import Site, report_batch
from beamctl.training.rollout import Rollout, rollout
from beamctl.training.statistics import interval, step_percentile


@dataclass(frozen=True)
class Row:
    """One algorithm on one scenario; RMS in mm, true (not as read).

    Attributes:
        success: share of machines where the run stopped by itself: two independent readings below the target.
        success_true: share where, besides, the true RMS is below the target.
        steps_median, steps_p90: steps to the target; None where more than half, or 10 %, never get there.
        best_reachable_mean: smallest true RMS that any setting within limits reaches, mean.
        reachable: share of machines where any setting gets below the target.
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
    final_p95: float
    final_max: float
    best_reachable_mean: float
    success_true: float
    reachable: float


@dataclass(frozen=True)
class Evaluation:
    """All rows of a report, and the distributions behind them.

    Attributes:
        initial, final: true RMS of each machine, mm, by (scenario, algorithm).
    """

    task: str
    agent: str
    seed: int
    machines: int
    target_mm: float
    rows: tuple[Row, ...]
    initial: Mapping[tuple[str, str], Array]
    final: Mapping[tuple[str, str], Array]

    def summary(self) -> dict[str, object]:
        """What goes into ``summary.json``."""
        head = {"task": self.task, "agent": self.agent, "seed": self.seed, "machines": self.machines}
        return {**head, "target_mm": self.target_mm, "rows": [asdict(row) for row in self.rows]}


def evaluate(
    site: Site,
    problem: OrbitProblem,
    agents: Mapping[str, OrbitAgent],
    scenarios: Sequence[str],
    *,
    seed: int,
    machines: int,
    opposite_solenoids: bool = False,
) -> Evaluation:
    """Run every agent on the same machines of every scenario.

    Args:
        site: machine and ions.
        problem: task with target and budget.
        agents: by algorithm, the one that the report is about first.
        scenarios: names.
        seed: of the machines and of the bootstrap.
        machines: how many per scenario.
        opposite_solenoids: reverse all solenoids, and what the model knows of them.
    """
    rows, initial, final = [], {}, {}
    for scenario in scenarios:
        for name, agent in agents.items():
            batch = report_batch(site, problem.task, scenario, seed, machines, opposite_solenoids=opposite_solenoids)
            own = replace(problem, response_mm_per_a=batch.pool.response_mm_per_a[0])
            agent.start(own)
            best = best_reachable_rms(batch.response_mm_per_a, batch.bare_mm, own.lo_a, own.hi_a)
            result = rollout(agent, batch, own)
            rows.append(_row(scenario, name, result, best, own.target_mm, np.random.default_rng(seed)))
            initial[(scenario, name)], final[(scenario, name)] = result.initial_true, result.final_true
    first = next(iter(agents.values()))
    return Evaluation(problem.task, first.identity, seed, machines, problem.target_mm, tuple(rows), initial, final)


def _row(
    scenario: str, algorithm: str, result: Rollout, best: Array, target_mm: float, rng: np.random.Generator
) -> Row:
    reached = result.reached
    steps = np.where(reached, result.steps, np.inf)
    return Row(
        scenario=scenario,
        algorithm=algorithm,
        success=float(reached.mean()),
        success_ci=interval(reached.astype(float), rng),
        steps_median=step_percentile(steps, 50),
        steps_p90=step_percentile(steps, 90),
        initial_mean=float(result.initial_true.mean()),
        final_mean=float(result.final_true.mean()),
        final_mean_ci=interval(result.final_true, rng),
        final_p95=float(np.percentile(result.final_true, 95)),
        final_max=float(result.final_true.max()),
        best_reachable_mean=float(best.mean()),
        success_true=float((reached & (result.final_true < target_mm)).mean()),
        reachable=float((best < target_mm).mean()),
    )
