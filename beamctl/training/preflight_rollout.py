"""Preflight and tuning of many simulated machines at once, exactly as the guarded runs do it on one."""

from dataclasses import dataclass

import numpy as np

from beamctl.agent.base import OrbitAgent
from beamctl.agent.mapped import MappedAgent
from beamctl.engine.simulated.batch import MachineBatch
from beamctl.run.mapped_course import BLIND_STEPS
from beamctl.run.orbit_course import NO_GAIN_STEPS
from beamctl.task.encoding import first_history, next_history
from beamctl.task.identification import Verdict, channel_verdicts, corrector_verdicts
from beamctl.task.kicks import plan_kicks
from beamctl.task.mapping import Mapping, conclude
from beamctl.task.orbit import Array, Mask, is_confirmed, orbit_rms
from beamctl.task.prior import SectionPrior
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step
from beamctl.training.rollout import Rollout

DEAD_BELOW, WEAK_BELOW = 0.1, 0.8
"""strengths that count as dead and as weak"""


@dataclass(frozen=True)
class PreflightRollout:
    """What became of ``n`` machines.

    Attributes:
        mapping: what was found.
        reads: combined readings that the preflight took.
        rollout: what the agent then reached.
    """

    mapping: Mapping
    reads: int
    rollout: Rollout


def preflight(
    batch: MachineBatch, problem: OrbitProblem, prior: SectionPrior, valid_range_mm: tuple[float, float]
) -> tuple[Mapping, int]:
    """Kick, read, conclude; the machines are back at their start afterwards. Returns the readings taken as well."""
    found = batch.start_a
    first = batch.read_mm(found)
    plan = plan_kicks(
        found, problem.lo_a, problem.hi_a, prior.kick_a, problem.step_a, first, problem.response_mm_per_a,
        valid_range_mm,
    )  # fmt: skip
    settings = np.concatenate([found[None], plan.settings_a])
    readings = np.stack([first, *map(batch.read_mm, plan.settings_a)])
    return conclude(settings, readings, batch.working, prior), len(readings)


def preflight_rollout(
    agent: OrbitAgent,
    batch: MachineBatch,
    problem: OrbitProblem,
    prior: SectionPrior,
    valid_range_mm: tuple[float, float],
) -> PreflightRollout:
    """Preflight, then the agent in the coordinates found.

    Where a channel is missing, a run goes on until nothing is gained any more, and its best setting is kept.

    Args:
        agent: who proposes.
        batch: the machines, untouched.
        problem: as described.
        prior: of the section.
        valid_range_mm: readings outside are not believed.
    """
    mapping, reads = preflight(batch, problem, prior, valid_range_mm)
    mapped = MappedAgent(agent, mapping)
    mapped.start(problem)
    return PreflightRollout(mapping, reads, mapped_rollout(mapped, batch, problem, ~mapping.wiring.responds))


@dataclass(frozen=True)
class Score:
    """Findings against what was planted, shape (n,).

    Attributes:
        named: every faulty corrector and channel has the right verdict.
        false_alarm: a healthy one has not.
    """

    named: Mask
    false_alarm: Mask


def score(batch: MachineBatch, mapping: Mapping) -> Score:
    """Compare the findings with the machines."""
    rows = [(mapping.wiring.at(i), row) for i, row in enumerate(_planted(batch))]
    pairs = [(corrector_verdicts(w, mapping.pair) + channel_verdicts(w), planted) for w, planted in rows]
    named = [all(f is p for f, p in zip(*pair, strict=True) if p is not Verdict.GOOD) for pair in pairs]
    alarm = [any(f is not p for f, p in zip(*pair, strict=True) if p is Verdict.GOOD) for pair in pairs]
    return Score(np.array(named), np.array(alarm))


def _planted(batch: MachineBatch) -> list[list[Verdict]]:
    """What each corrector and channel of each machine is."""
    f = batch.corrector_factor
    own = batch.magnet == np.arange(batch.magnet.shape[1])
    kinds = [
        (~own, Verdict.SWAPPED),
        (np.abs(f) < DEAD_BELOW, Verdict.DEAD),
        (np.abs(f.imag) > np.abs(f.real), Verdict.CROSSED),
        (f.real < 0, Verdict.REVERSED),
        (np.abs(f) < WEAK_BELOW, Verdict.WEAK),
    ]
    correctors = np.select([mask for mask, _ in kinds], [np.full(f.shape, v, object) for _, v in kinds], Verdict.GOOD)
    signs = np.where(batch.channel_sign < 0, Verdict.REVERSED, Verdict.GOOD)
    channels = np.where(batch.working, signs, Verdict.DEAD)
    return [[*map(Verdict, a), *map(Verdict, b)] for a, b in zip(correctors, channels, strict=True)]


def mapped_rollout(agent: MappedAgent, batch: MachineBatch, problem: OrbitProblem, missing: Mask) -> Rollout:
    """As :func:`beamctl.training.rollout.rollout`; ``missing`` are channels that cannot be read, shape (n, 2 b)."""
    exists, valid = batch.exists, batch.working
    blind = (missing & exists).any(axis=1)
    setpoint = batch.start_a.copy()
    initial = orbit_rms(batch.true_orbit_mm(setpoint), exists)

    def read(who: Mask) -> tuple[Array, Array]:
        reading = batch.read_mm(setpoint)
        agent.learn(setpoint, reading, valid & who[:, None])
        return reading, orbit_rms(agent.completed(setpoint, reading, valid), exists)

    everyone = np.ones(len(batch), bool)
    before, _ = read(everyone)
    setpoint = np.clip(setpoint + problem.first_move_a, problem.lo_a, problem.hi_a)
    now, cost = read(everyone)
    history = first_history(before, now)
    best, best_cost, since_best = setpoint.copy(), cost.copy(), np.zeros(len(batch))
    running, reached, steps = np.ones(len(batch), bool), np.zeros(len(batch), bool), np.zeros(len(batch))
    for step in range(problem.max_steps + 1):
        maybe = running & ~blind & is_confirmed(cost, problem.target_mm)
        done = maybe & is_confirmed(read(maybe)[1], problem.target_mm)
        reached |= done
        running &= ~done & (since_best < np.where(blind, BLIND_STEPS, NO_GAIN_STEPS))
        if step == problem.max_steps or not running.any():
            break
        change = agent.propose(OrbitView(history, valid, setpoint))
        setpoint = np.where(running[:, None], limited_step(problem, setpoint, change), setpoint)
        now, cost = read(running)
        history = next_history(history, now)
        steps += running
        gained = running & (cost < best_cost)
        best, best_cost = np.where(gained[:, None], setpoint, best), np.where(gained, cost, best_cost)
        since_best = np.where(gained, 0, since_best + 1)
    setpoint = np.where(reached[:, None], setpoint, best)
    reached |= read(everyone)[1] < problem.target_mm
    return Rollout(reached, steps, initial, orbit_rms(batch.true_orbit_mm(setpoint), exists), setpoint)
