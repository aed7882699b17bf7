"""Runs an agent on many simulated injectors at once, exactly as the guarded loop runs it on one."""

from dataclasses import dataclass

import numpy as np

from beamctl.agent.base import TransmissionAgent
from beamctl.engine.simulated.injector_batch import InjectorBatch
from beamctl.task.problem import limited_step
from beamctl.task.transmission import MFC1, Array, transmission
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView


@dataclass(frozen=True)
class TransmissionRollout:
    """What became of ``n`` machines in ``s`` steps.

    Attributes:
        true_ma: true ACCT and MFC1 current at the start and after each step, mA, shape (n, s + 1, 2).
        reading_ma: as it was read, same shape.
        setpoint_a: all knobs, A, shape (n, s + 1, 6).
        source_ma: true current of the sources, shape (n,).
    """

    true_ma: Array
    reading_ma: Array
    setpoint_a: Array
    source_ma: Array

    @property
    def eta(self) -> Array:
        """True current behind the RFQ relative to the source, shape (n, s + 1)."""
        return np.asarray(self.true_ma[..., MFC1] / self.source_ma[:, None])

    def true_transmission(self, floor_ma: float) -> Array:
        """True transmission, not a number without beam, shape (n, s + 1)."""
        return transmission(self.true_ma, floor_ma)


def transmission_rollout(
    agent: TransmissionAgent, batch: InjectorBatch, problem: TransmissionProblem
) -> TransmissionRollout:
    """Take the whole budget of steps.

    Args:
        agent: already started on ``problem``.
        batch: the machines, untouched.
        problem: which knobs move, limits and budget.
    """
    n, steps, slots = len(batch), problem.max_steps, problem.slots
    setpoint = np.empty((n, steps + 1, batch.start_a.shape[1]))
    true, reading = np.empty((n, steps + 1, 2)), np.empty((n, steps + 1, 2))
    readback = np.empty_like(setpoint)
    setpoint[:, 0] = batch.start_a
    for t in range(steps + 1):
        if t:
            view = TransmissionView(
                readback[:, :t][..., slots], reading[:, :t], setpoint[:, t - 1][:, slots], steps - t + 1
            )
            moved = limited_step(problem, setpoint[:, t - 1][:, slots], agent.propose(view))
            setpoint[:, t] = setpoint[:, t - 1]
            setpoint[:, t, slots] = moved
        reading[:, t], true[:, t] = batch.read_with_truth_ma(setpoint[:, t])
        readback[:, t] = batch.readback_a(setpoint[:, t])
    return TransmissionRollout(true, reading, setpoint, batch.source_ma.copy())
