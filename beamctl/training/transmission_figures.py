"""What a rollout is worth, beside the best that any setting gives each machine."""

from dataclasses import dataclass

import numpy as np

from beamctl.task.transmission import Array
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.training.transmission_rollout import TransmissionRollout

EARLY_STEPS = 8
"""after so many steps another method may take over"""


@dataclass(frozen=True)
class TransmissionFigures:
    """Means over the machines of a rollout; true currents, at the last setting unless said otherwise.

    Attributes:
        eta: current behind the RFQ relative to the source.
        of_best: the same relative to the machine's best.
        early_of_best: the same after 8 steps.
        within_2, within_5: share of the machines within 0.02 and 0.05 of their best eta.
        reached: share at the task's transmission or above.
        worse: share below the current at the start.
        steps: median number of steps until the task's transmission is first reached; the budget where it never is.
    """

    eta: float
    of_best: float
    early_of_best: float
    within_2: float
    within_5: float
    reached: float
    worse: float
    steps: float


def transmission_figures(
    ran: TransmissionRollout, best_eta: Array, problem: TransmissionProblem
) -> TransmissionFigures:
    """Figures of a rollout.

    Args:
        ran: n machines.
        best_eta: best current behind the RFQ relative to the source that each machine can give, shape (n,).
        problem: whose budget was spent.
    """
    eta = ran.eta
    last, early = eta[:, -1], eta[:, min(EARLY_STEPS, eta.shape[1] - 1)]
    return TransmissionFigures(
        eta=float(last.mean()),
        of_best=float(np.mean(last / best_eta)),
        early_of_best=float(np.mean(early / best_eta)),
        within_2=float(np.mean(last >= best_eta - 0.02)),
        within_5=float(np.mean(last >= best_eta - 0.05)),
        reached=float(np.mean(ran.true_transmission(problem.floor_ma)[:, -1] >= problem.target_transmission)),
        worse=float(np.mean(last < eta[:, 0])),
        steps=float(np.median(steps_to_target(ran, problem))),
    )


def steps_to_target(ran: TransmissionRollout, problem: TransmissionProblem) -> Array:
    """Steps until the task's transmission is first reached; the budget where it never is; shape (n,)."""
    good = ran.true_transmission(problem.floor_ma) >= problem.target_transmission
    return np.where(good.any(axis=1), good.argmax(axis=1), problem.max_steps).astype(float)
