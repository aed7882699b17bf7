"""What a run reports while it goes on; whoever shows or records a run listens to these."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from beamctl.engine.orbit_reader import Array, Mask
from beamctl.engine.restore import RestoreLine


class Outcome(StrEnum):
    """How a run ended."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    ADVISED = "advised"
    ABORTED = "aborted"
    FAILED = "failed"


@dataclass(frozen=True)
class Armed:
    """The snapshot has been taken; setpoints in A, beam current in mA."""

    identity: str
    current_ma: float
    setpoint_a: Array


@dataclass(frozen=True)
class Stepped:
    """The machine has been measured after step ``step`` (0: as found, 0 again after the first trend move).

    Attributes:
        step: steps taken so far.
        rms_mm: RMS of the valid channels.
        orbit_mm, valid: the reading, shape (n,).
        setpoint_a: shape (k,).
        seconds: since arming.
        note: for people, mostly empty.
    """

    step: int
    rms_mm: float
    orbit_mm: Array
    valid: Mask
    setpoint_a: Array
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Held:
    """Nothing is written until the readings are good again."""

    reason: str
    seconds: float


@dataclass(frozen=True)
class Restored:
    """The snapshot has been written back, a line per knob."""

    lines: list[RestoreLine]


@dataclass(frozen=True)
class Advice:
    """What the agent would do from here; nothing was written.

    Attributes:
        setpoint_a: present setpoints, A.
        proposed_a: setpoints of the next step, A, inside all limits.
        rms_mm: now.
        predicted_rms_mm: what the model expects after the step.
    """

    setpoint_a: Array
    proposed_a: Array
    rms_mm: float
    predicted_rms_mm: float


Event = Armed | Stepped | Held | Restored | Advice
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class RunResult:
    """The whole run in a few numbers.

    Attributes:
        outcome: how it ended.
        steps: steps taken, the first trend move not counted.
        initial_rms_mm, final_rms_mm: NaN where not measured; the final one is measured after a restore.
        restored: whether a restore was made, and every knob is verified to be at the snapshot.
        writes: puts sent, restore included.
        reason: one sentence for people.
        initial_orbit_mm, final_orbit_mm: shape (n,), NaN where not measured.
        valid: channels of the final orbit to believe, shape (n,).
        restore: what became of each knob; empty without a restore.
    """

    outcome: Outcome
    steps: int
    initial_rms_mm: float
    final_rms_mm: float
    restored: bool
    writes: int
    reason: str
    initial_orbit_mm: Array
    final_orbit_mm: Array
    valid: Mask
    restore: tuple[RestoreLine, ...] = ()
