"""What a run reports while it goes on; whoever shows or records a run listens to these."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from beamctl.engine.reader import Array, Mask
from beamctl.engine.restore import RestoreLine
from beamctl.run.course import Figures
from beamctl.store.states import RunState


class Outcome(StrEnum):
    """How a run ended."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    ADVISED = "advised"
    ABORTED = "aborted"
    HALTED = "halted"
    FAILED = "failed"


@dataclass(frozen=True)
class Armed:
    """The snapshot has been taken; setpoints in A, beam current in mA."""

    identity: str
    current_ma: float
    setpoint_a: Array


@dataclass(frozen=True)
class Stepped:
    """The machine has been measured after step ``step`` (0: as found, 0 again after a first trend move).

    Attributes:
        step: steps taken so far.
        figures: what the task makes of the reading, by name.
        values, valid: the reading of all channels, shape (n,).
        setpoint_a: shape (k,).
        seconds: since arming.
        note: for people, mostly empty.
    """

    step: int
    figures: Figures
    values: Array
    valid: Mask
    setpoint_a: Array
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Changed:
    """The run is in another state now."""

    state: RunState
    reason: str


@dataclass(frozen=True)
class Held:
    """Nothing is written until the readings are good again, or a person says so.

    Attributes:
        seconds: so far.
        restore_in_s: until the snapshot is restored by itself; None where nothing happens by itself.
    """

    reason: str
    seconds: float
    restore_in_s: float | None = None


@dataclass(frozen=True)
class Proposed:
    """A step waits for approval.

    Attributes:
        what: for people: "step 3".
        step: its number.
        setpoint_a, change_a: A, shape (k,).
        predicted: what the model expects after it; empty where it cannot tell.
    """

    what: str
    step: int
    setpoint_a: Array
    change_a: Array
    predicted: Figures


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
        figures: now.
        predicted: what the model expects after the step; empty where it cannot tell.
        is_reached: whether the goal is reached already.
        note: about the proposal, for people, mostly empty.
    """

    setpoint_a: Array
    proposed_a: Array
    figures: Figures
    predicted: Figures
    is_reached: bool
    note: str = ""


Event = Armed | Changed | Stepped | Held | Proposed | Restored | Advice
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class RunResult:
    """The whole run in a few numbers.

    Attributes:
        outcome: how it ended.
        steps: steps taken, a first trend move not counted.
        initial, final: figures of the first and of the last reading, NaN where not measured; the last one is read
            after a restore.
        restored: whether a restore was made, and every knob is verified to be at the snapshot.
        writes: puts sent, restore included.
        reason: one sentence for people.
        initial_values, final_values: readings of all channels, shape (n,), NaN where not measured.
        valid: channels of the last reading to believe, shape (n,).
        restore: what became of each knob; empty without a restore.
    """

    outcome: Outcome
    steps: int
    initial: Figures
    final: Figures
    restored: bool
    writes: int
    reason: str
    initial_values: Array
    final_values: Array
    valid: Mask
    restore: tuple[RestoreLine, ...] = ()
