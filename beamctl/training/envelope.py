"""Measures what a trained agent sees on machines like those that it was trained on: the envelope in its manifest.

The machines come from a branch of the seed of their own. They reach further than training did, so that a real machine
is not flagged for being a little unlike its description: relative errors of 10 %, twice the misalignments, a dead BPM;
for injectors machines without beam and machines 1.75 times as far off.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from beamctl.agent.base import Policy
from beamctl.agent.envelope import Envelope, mahalanobis
from beamctl.agent.gated import AnyView
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.machine.injector import InjectorDescription
from beamctl.task.orbit import Array
from beamctl.task.problem import OrbitProblem
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.training.injectors import envelope_injectors
from beamctl.training.machines import Site, envelope_batch
from beamctl.training.rollout import rollout
from beamctl.training.transmission_rollout import transmission_rollout
from simulators.survival import SurvivalTable

ORBIT_SCENARIOS = ("nominal", "err5", "err10", "mis6", "dead")
TRANSMISSION_SCENARIOS = ("nominal", "shifted", "dark")
MACHINES, INJECTORS = 1000, 400
"""of each scenario and task"""
STEP_SHARES = (0.03, 0.06)
"""step limits that agents are trained with, as shares of the knobs' ranges"""
RANGE_MARGIN = 0.1
"""ranges are wider than anything that was seen by this share on either side"""
QUANTILE, THRESHOLD_MARGIN = 0.998, 1.1
"""the threshold is this much more than what so many of the runs stay below from beginning to end"""
LEAST_DEVIATION = 1e-3
"""features that hardly differ (a knob that takes no part) count as if they had this standard deviation"""
DIGITS = 5


Index = NDArray[np.int64]


Problem = TypeVar("Problem")
View = TypeVar("View", bound=AnyView)


class Recorder(Generic[Problem, View]):
    """An agent that writes down what it sees, of runs that still move.

    Args:
        policy: who proposes.

    Attributes:
        runs: that were begun.
    """

    def __init__(self, policy: Policy[Problem, View]) -> None:
        self.name, self.identity = policy.name, policy.identity
        self.runs = 0
        self._policy = policy
        self._last: Array | None = None
        self._first = 0
        self._seen: list[Array] = []
        self._run: list[Index] = []

    def start(self, problem: Problem) -> None:
        """More runs, with the next proposal."""
        self._policy.start(problem)
        self._last = None

    def propose(self, view: View) -> Array:
        """As the policy does."""
        seen = self._policy.observe(view)
        n = len(seen.observation)
        if self._last is None:
            self._first, self.runs = self.runs, self.runs + n
            moves = np.ones(n, bool)
        else:
            moves = (view.setpoint_a != self._last).any(axis=1)
        self._last = view.setpoint_a.copy()
        self._seen.append(seen.observation[moves])
        self._run.append(self._first + np.flatnonzero(moves))
        return self._policy.act(seen)

    @property
    def seen(self) -> Array:
        """All observations, shape (n, rows, columns)."""
        return np.concatenate(self._seen)

    @property
    def run(self) -> Index:
        """The number of the run that each observation belongs to, shape (n,)."""
        return np.concatenate(self._run)


def orbit_envelope(
    site: Site, problems: Sequence[OrbitProblem], policy: TrendPolicyAgent, *, seed: int = 0, machines: int = MACHINES
) -> Envelope:
    """Envelope of an orbit agent.

    Args:
        site: machine and ions.
        problems: tasks that the agent is for, as it runs them.
        policy: the agent.
        seed: of the machines.
        machines: how many of each task and scenario.
    """
    recorder = Recorder(policy)
    for problem in problems:
        for scenario in ORBIT_SCENARIOS:
            recorder.start(problem)
            rollout(recorder, envelope_batch(site, problem.task, scenario, seed, machines), problem)
    return conclude(recorder.seen, recorder.run, recorder.runs)


def transmission_envelope(
    machine: InjectorDescription,
    policy: TransmissionPolicyAgent,
    *,
    step_shares: tuple[float, float] = STEP_SHARES,
    table: SurvivalTable | None = None,
    seed: int = 0,
    machines: int = INJECTORS,
) -> Envelope:
    """Envelope of a transmission agent on all tasks of an injector.

    Args:
        machine: the injector.
        policy: the agent.
        step_shares: smallest and largest step limit, as shares of the knobs' ranges.
        table: stands for the RFQ tracker; None: the tracker.
        seed: of the machines.
        machines: how many of each task and scenario.
    """
    recorder = Recorder(policy)
    rng = np.random.default_rng(seed)
    for task in machine.tasks:
        problem = transmission_problem(machine, task)
        for scenario in TRANSMISSION_SCENARIOS:
            batch = envelope_injectors(machine, task, scenario, seed, machines, table)
            share = rng.uniform(*step_shares, (machines, 1))
            own = replace(problem, step_a=share * (problem.hi_a - problem.lo_a))
            recorder.start(own)
            transmission_rollout(recorder, batch, own)
    return conclude(recorder.seen, recorder.run, recorder.runs)


def conclude(seen: Array, run: Index, runs: int) -> Envelope:
    """The envelope of what was seen.

    Args:
        seen: observations, shape (n, rows, columns).
        run: the run that each belongs to, shape (n,).
        runs: how many.
    """
    flat = seen.reshape(len(seen), -1)
    mean = flat.mean(axis=0)
    covariance = np.cov(flat.T) + LEAST_DEVIATION**2 * np.eye(len(mean))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    lo, hi = flat.min(axis=0), flat.max(axis=0)
    margin = np.maximum(RANGE_MARGIN * (hi - lo), LEAST_DEVIATION)
    worst = np.zeros(runs)
    np.maximum.at(worst, run, mahalanobis(flat, mean, whitening))
    return Envelope(
        lo=_short(lo - margin),
        hi=_short(hi + margin),
        mean=_short(mean),
        whitening=tuple(_short(row[: i + 1]) for i, row in enumerate(whitening)),
        threshold=_short(THRESHOLD_MARGIN * np.quantile(worst, [QUANTILE]))[0],
        samples=len(flat),
        runs=runs,
    )


def _short(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{v:.{DIGITS}g}") for v in values)
