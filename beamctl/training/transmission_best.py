"""What any setting could reach: the largest current behind the RFQ of each machine, by exhaustive search."""

import numpy as np

from beamctl.engine.simulated.injector_batch import InjectorBatch
from beamctl.task.transmission import MFC1, Array
from beamctl.task.transmission_problem import TransmissionProblem

POPULATION, GENERATIONS = 24, 38
SPREAD = 0.12
"""rms of the first population around the middle of a family, in ranges"""
WEIGHT = (0.4, 0.9)
CROSSOVER, TO_THE_BEST = 0.8, 0.5
SEED = 11


def best_reachable_ma(batch: InjectorBatch, problem: TransmissionProblem, families_a: Array) -> Array:
    """Largest true MFC1 of each machine at any setting within limits, mA, shape (n,).

    Differential evolution (Storn and Price 1997) on the tracker, once from each family of matched settings, all
    machines side by side. A lower bound of the truth: whoever compares with it takes the better of the two.

    Args:
        batch: the machines; knobs that the problem does not move stay where the machine is found.
        problem: knobs and limits.
        families_a: where to begin, all knobs of the injector, A, shape (families, 6).
    """
    rng = np.random.default_rng(SEED)
    return np.asarray(np.max([search_from(batch, problem, family, rng) for family in families_a], axis=0))


def search_from(batch: InjectorBatch, problem: TransmissionProblem, family_a: Array, rng: np.random.Generator) -> Array:
    """The same search from one family only, shape (n,)."""
    lo, span, slots = problem.lo_a, problem.hi_a - problem.lo_a, problem.slots
    n, k = len(batch), problem.n_knob

    def value(x: Array) -> Array:
        setpoint = batch.start_a.copy()
        setpoint[:, slots] = lo + span * x
        return batch.true_ma(setpoint)[:, MFC1]

    middle = (family_a[slots] - lo) / span
    people = np.clip(middle + SPREAD * rng.standard_normal((POPULATION, n, k)), 0.0, 1.0)
    people[0] = middle
    score = np.stack([value(x) for x in people])
    rows = np.arange(n)
    for _ in range(GENERATIONS):
        for i in range(POPULATION):
            a, b, c = rng.random((POPULATION, n)).argsort(axis=0)[:3]
            towards = np.where(rng.random(n) < TO_THE_BEST, score.argmax(axis=0), a)
            mutant = people[towards, rows] + rng.uniform(*WEIGHT, (n, 1)) * (people[b, rows] - people[c, rows])
            mixed = rng.random((n, k)) < CROSSOVER
            mixed[rows, rng.integers(k, size=n)] = True
            child = np.clip(np.where(mixed, mutant, people[i]), 0.0, 1.0)
            own = value(child)
            better = own >= score[i]
            people[i, better], score[i, better] = child[better], own[better]
    return np.asarray(score.max(axis=0))
