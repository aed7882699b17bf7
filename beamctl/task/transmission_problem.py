"""A transmission task made concrete: which knobs move, how far, what the model expects.

Built once per run from the machine description, used by environments, agents and runs alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.task.transmission import Array


@dataclass(frozen=True)
class TransmissionProblem:
    """One transmission task with ``k`` knobs: solenoids first, then correctors, as in the machine description.

    Attributes:
        task: its name.
        knobs: names, k of them.
        slots: place of each knob among all knobs of the injector, shape (k,).
        lo_a, hi_a: setpoint limits, A, shape (k,).
        step_a: largest change in one step, A, shape (k,).
        optimum_a: where the error-free model has its best current behind the RFQ, A, shape (k,).
        floor_ma: ACCT current below which there is no beam.
        noise_ma: rms noise of one combined reading.
        source_ma: proton current that the source is described with; the scale of all readings.
        max_steps: budget.
        target_transmission: goal that the end of a run is judged by; what is raised is the current.
    """

    task: str
    knobs: tuple[str, ...]
    slots: NDArray[np.int64]
    lo_a: Array
    hi_a: Array
    step_a: Array
    optimum_a: Array
    floor_ma: float
    noise_ma: float
    source_ma: float
    max_steps: int
    target_transmission: float

    @property
    def n_knob(self) -> int:
        """Number of knobs, k."""
        return len(self.knobs)


@dataclass(frozen=True)
class TransmissionView:
    """What an agent may know when it proposes a step: the whole episode so far; arrays carry a leading batch axis.

    Attributes:
        readback_a: knobs at each reading so far, the newest last, shape (batch, t, k).
        reading_ma: ACCT and MFC1 of each reading, shape (batch, t, 2).
        setpoint_a: present setpoints, shape (batch, k).
        steps_left: steps that the budget still holds, the proposed one included.
    """

    readback_a: Array
    reading_ma: Array
    setpoint_a: Array
    steps_left: int
