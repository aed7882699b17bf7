"""Runs an agent on many simulated machines at once, exactly as the guarded loop runs it on one."""

from dataclasses import dataclass

import numpy as np

from beamctl.agent.base import OrbitAgent
from beamctl.engine.simulated.batch import MachineBatch
from beamctl.task.encoding import first_history, next_history
from beamctl.task.orbit import Array, Mask, is_confirmed, orbit_rms
from beamctl.task.problem import OrbitProblem, OrbitView, limited_step


@dataclass(frozen=True)
class Rollout:
    """What became of ``n`` machines; RMS in mm.

    Attributes:
        reached: target reached within the budget, shape (n,).
        steps: steps taken until it stopped, shape (n,).
        initial_true, final_true: true RMS at the start and where the run stopped, shape (n,).
        final_setpoint_a: shape (n, k).
    """

    reached: Mask
    steps: Array
    initial_true: Array
    final_true: Array
    final_setpoint_a: Array


def rollout(agent: OrbitAgent, batch: MachineBatch, problem: OrbitProblem) -> Rollout:
    """Run until the target is confirmed or the budget is spent.

    A run stops by itself when two independent readings confirm the target. Rows that have stopped stay as they are.

    Args:
        agent: already started on ``problem`` (its response matrix has one row per machine, or one for all).
        batch: the machines, untouched.
        problem: target and budget.
    """
    n = len(batch)
    exists, valid = batch.exists, batch.working
    setpoint = batch.start_a.copy()
    initial = orbit_rms(batch.true_orbit_mm(setpoint), exists)
    before = batch.read_mm(setpoint)
    setpoint = np.clip(setpoint + problem.first_move_a, problem.lo_a, problem.hi_a)
    history = first_history(before, batch.read_mm(setpoint))
    running, steps = np.ones(n, bool), np.zeros(n)
    running &= ~_confirmed(batch, history[:, 2], setpoint, problem)
    for _ in range(problem.max_steps):
        if not running.any():
            break
        change = agent.propose(OrbitView(history, valid, setpoint))
        setpoint = np.where(running[:, None], limited_step(problem, setpoint, change), setpoint)
        history = next_history(history, batch.read_mm(setpoint))
        steps += running
        running &= ~_confirmed(batch, history[:, 2], setpoint, problem)
    final = orbit_rms(batch.true_orbit_mm(setpoint), exists)
    return Rollout(~running, steps, initial, final, setpoint)


def _confirmed(batch: MachineBatch, reading: Array, setpoint: Array, problem: OrbitProblem) -> Mask:
    again = batch.read_mm(setpoint)
    valid = batch.working
    first, second = orbit_rms(reading, valid), orbit_rms(again, valid)
    return is_confirmed(first, problem.target_mm) & is_confirmed(second, problem.target_mm)
