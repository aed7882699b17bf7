"""Raising the current behind the RFQ as the course of a run; the task stands in :mod:`beamctl.task.transmission`.

The whole budget is used, as nobody knows a machine's best current in advance. A knob that makes things worse for a
while is no reason to give up: optimisers look around, and the run ends at the best setting in any case.
"""

from collections.abc import Sequence

import numpy as np

from beamctl.agent.base import TransmissionAgent, note_of
from beamctl.engine.reader import Measurement
from beamctl.run.course import Figures, Visit, one_row
from beamctl.task.problem import limited_step
from beamctl.task.transmission import ACCT, GO_BACK_NOISES, MFC1, Array, objective, transmission
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView


class TransmissionCourse:
    """See :class:`beamctl.run.course.Course`.

    Args:
        problem: limits, budget, beam floor.
        agent: who proposes.
    """

    goes_back = False
    is_all_or_nothing = False

    def __init__(self, problem: TransmissionProblem, agent: TransmissionAgent) -> None:
        self.problem = problem
        self._agent = agent
        self.task = problem.task
        self.goal = f"transmission of {problem.target_transmission:g}"
        self.proposer = agent.identity
        self.max_steps = problem.max_steps
        self.slack = GO_BACK_NOISES * problem.noise_ma

    def start(self) -> None:
        """Prepare the agent."""
        self._agent.start(self.problem)

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """As read."""
        return measured

    def cost(self, measured: Measurement) -> float:
        """Minus the objective, mA."""
        return -float(objective(measured.values, self.problem.floor_ma))

    def figures(self, measured: Measurement) -> Figures:
        """Both currents in mA and the transmission, which is NaN without beam."""
        return {
            "acct_ma": float(measured.values[ACCT]),
            "mfc1_ma": float(measured.values[MFC1]),
            "transmission": float(transmission(measured.values, self.problem.floor_ma)),
        }

    def first_move(self, setpoint_a: Array) -> Array | None:
        """None is needed: the trend begins at rest."""
        return None

    def propose(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """What the agent makes of all readings so far."""
        view = TransmissionView(
            readback_a=np.stack([v.readback_a for v in visits])[None],
            reading_ma=np.stack([v.measured.values for v in visits])[None],
            setpoint_a=visits[-1].setpoint_a[None].copy(),
            steps_left=steps_left,
        )
        return one_row(self._agent.propose(view))

    def note(self) -> str:
        """What the agent says."""
        return note_of(self._agent)

    def limited(self, setpoint_a: Array, change_a: Array) -> Array:
        """Within step and limits."""
        return limited_step(self.problem, setpoint_a, change_a)

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """Nothing: what the beam at hand would do depends on errors that nobody knows."""
        return {}

    def is_done(self, measured: Measurement) -> bool:
        """Never before the budget is spent."""
        return False

    def is_reached(self, measured: Measurement) -> bool:
        """Transmission at or above the goal."""
        t = float(transmission(measured.values, self.problem.floor_ma))
        return t >= self.problem.target_transmission

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """Never."""
        return ""
