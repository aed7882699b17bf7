"""The task's side of a run: what a measurement is worth, what comes next, when to end. It never touches a machine.

One implementation per kind of task: :mod:`beamctl.run.orbit_course`, :mod:`beamctl.run.transmission_course`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.reader import Measurement

Array = NDArray[np.float64]
Figures = Mapping[str, float]
"""named figures of a measurement with the unit in the name, NaN where undefined"""


@dataclass(frozen=True)
class Visit:
    """A setting of the machine and what was read there.

    Attributes:
        setpoint_a, readback_a: knobs asked for and measured, A, shape (k,).
        measured: the reading.
    """

    setpoint_a: Array
    readback_a: Array
    measured: Measurement


class Course(Protocol):
    """What a run needs to know of its task.

    Attributes:
        task: its name.
        goal: what ends a run well, for people: "RMS below 0.5 mm".
        proposer: identity of the agent that proposes, for records.
        max_steps: budget.
        slack: costs closer than this are the same, as far as noise lets one tell.
        goes_back: the run only looks: it ends where it has begun, whatever it has found.
        is_all_or_nothing: a run that ends short of its goal is restored, however near it came.
    """

    task: str
    goal: str
    proposer: str
    max_steps: int
    slack: float
    goes_back: bool
    is_all_or_nothing: bool

    def start(self) -> None:
        """Prepare the agent.

        Raises:
            IncompatibleAgentError: the agent does not fit the task.
        """

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """Take note of a reading, each one once; returns it with whatever the task adds to it.

        Args:
            setpoint_a: where the knobs are, A, shape (k,).
            measured: as read.
        """

    def cost(self, measured: Measurement) -> float:
        """What is made small: RMS in mm, or minus the current in mA; never NaN for a valid measurement."""

    def figures(self, measured: Measurement) -> Figures:
        """What is reported of a measurement."""

    def first_move(self, setpoint_a: Array) -> Array | None:
        """Change of every setpoint, A, before the first proposal; None where the task needs none."""

    def propose(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """Change of every setpoint, A, shape (k,); limits are not yet applied.

        Args:
            visits: every setting so far, the newest last; its setpoint is the present one.
            steps_left: that the budget still holds, this one included.
        """

    def note(self) -> str:
        """What there is to say about the last proposal, for people; mostly empty."""

    def limited(self, setpoint_a: Array, change_a: Array) -> Array:
        """New setpoints, A: the part of a change that step limit and setpoint limits allow."""

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """What the model expects after a change; empty where it cannot tell."""

    def is_done(self, measured: Measurement) -> bool:
        """Whether the run may end here, once a second measurement agrees."""

    def is_reached(self, measured: Measurement) -> bool:
        """Whether a run that ends here has reached its goal."""

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """A reason to end a run short of its goal, other than its budget; empty while there is none."""


def unknown(names: Sequence[str]) -> Figures:
    """Figures of what has not been measured."""
    return dict.fromkeys(names, math.nan)


def one_row(proposal: object) -> Array:
    """The only row of an agent's answer for a batch of one; anything else as it is, for whoever checks it."""
    change = np.asarray(proposal, dtype=float)
    return change[0] if change.ndim == 2 and len(change) == 1 else np.asarray(change)[None]
