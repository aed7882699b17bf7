"""Requests, runs, what was written, and what people tell a run."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from beamctl.api.schemas.base import Asked, Count, Finite, Identifier, Line, Told, Word
from beamctl.store.states import RequestState, RunState, Verb

Key = Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[\x21-\x7e]+$")]
"""an idempotency key, chosen by who asks"""


class NewRequest(Asked):
    """Ask for a run.

    Attributes:
        task: what to tune, see ``/machine/tasks``.
        algorithm: who proposes; null: the task's first.
        agent: trained agent for algorithms that have one; null: the task's own.
        target: goal instead of the task's, mm or transmission.
        max_steps: budget instead of the task's.
        step_percent: largest step, % of a knob's interval, where that is below the machine's own.
        seed: of algorithms that draw numbers.
        preflight: run whose findings are relied on; 0: none; null: the newest.
        dry_run: propose one step and end; nothing is written.
        review: wait at the end for accept or abort, and in conflicts for a decision.
        approval: every step waits until a person approves it.
        if_control_down: ``wait`` for a control process, or ``refuse``.
        note: for the record.
    """

    task: Word
    algorithm: Word | None = None
    agent: Word | None = None
    target: Annotated[Finite, Field(gt=0, le=1000)] | None = None
    max_steps: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    step_percent: Annotated[Finite, Field(ge=0.1, le=100)] | None = None
    seed: Annotated[Count, Field(le=2**31 - 1)] = 0
    preflight: Count | None = None
    dry_run: StrictBool = False
    review: StrictBool = False
    approval: StrictBool = False
    if_control_down: Literal["wait", "refuse"] = "wait"
    note: Line = ""


class RestoreSnapshot(Asked):
    """Ask for a run that brings a section to what an earlier run had found, guarded and in steps like any other.

    Attributes:
        of: which setting of the run: what it ``found``, or its ``best`` one.
        approval, review, if_control_down, note: as :class:`NewRequest`.
    """

    of: Literal["found", "best"] = "found"
    approval: StrictBool = False
    review: StrictBool = False
    if_control_down: Literal["wait", "refuse"] = "wait"
    note: Line = ""


class StartPreflight(Asked):
    """Ask for a preflight: kicks every corrector a little, compares, restores."""

    if_control_down: Literal["wait", "refuse"] = "wait"
    note: Line = ""


class Request(Told):
    """What was asked for, and what became of it.

    Attributes:
        reason: why it was refused or cancelled; empty before.
        run: that answers it; null before it begins.
        control_is_alive: somebody is there to take it.
        message: what happens next, for people.
    """

    id: Identifier
    task: str
    section: str
    algorithm: str
    agent: str
    target: float | None
    max_steps: int | None
    step_percent: float | None
    dry_run: bool
    review: bool
    approval: bool
    note: str
    principal: str
    state: RequestState
    reason: str
    created: datetime
    run: int | None
    control_is_alive: bool
    message: str


class Requests(Told):
    """A page, the latest first; ``next`` is the ``before`` of the next one, null at the end."""

    requests: list[Request]
    next: int | None


class RunSummary(Told):
    """One run in a list.

    Attributes:
        kind: ``preflight`` kicks and restores, ``snapshot`` goes to an earlier setting, ``advice`` writes nothing.
        outcome: one word; empty before the end.
        reason: for the state it is in, one sentence.
        is_over: it has ended and its section is free.
        restore_owed: what was written has neither been accepted nor restored.
        step, max_steps: taken and allowed; ``max_steps`` null where not known.
        initial, best, final: figures, with the unit in the name; empty where nothing was measured, ``final`` also
            where a control process that was started again has brought the setpoints back.
    """

    id: Identifier
    request: int | None
    task: str
    section: str
    kind: Literal["tune", "preflight", "snapshot", "advice"]
    algorithm: str
    agent: str
    principal: str
    note: str
    state: RunState
    outcome: str
    reason: str
    started: datetime
    ended: datetime | None
    is_over: bool
    restore_owed: bool
    step: int
    max_steps: int | None
    initial: dict[str, float | None]
    best: dict[str, float | None]
    final: dict[str, float | None]


class Proposal(Told):
    """A step that waits for approval.

    Attributes:
        step: it would be.
        setpoint_a, change_a: per knob.
        predicted: figures by the model; empty where it cannot tell.
    """

    step: int
    setpoint_a: list[float]
    change_a: list[float]
    predicted: dict[str, float | None]


class Hold(Told):
    """Why nothing is written just now, and what will happen by itself.

    Attributes:
        restore_in_s: until the snapshot is restored by itself; null: nothing happens by itself.
    """

    reason: str
    restore_in_s: float | None


class Run(RunSummary):
    """One run.

    Attributes:
        allowed: commands that mean something now.
        hint: what a person can do; empty where nothing is needed.
        has_owner: a control process is at work on it.
        proposal: waiting for approval.
        hold: null where it is not held.
        goal: in words.
        target: as a number, mm or transmission.
        configuration_hash, agent_hashes: what it depends on.
        choice: everything that was asked for.
        knobs, channels: names, in the order of every array of the run.
        version: of the state that people decide on; the ETag.
        preflight: run whose findings it relies on; null: none.
    """

    allowed: list[Verb]
    hint: str
    has_owner: bool
    proposal: Proposal | None
    hold: Hold | None
    goal: str
    target: float | None
    configuration_hash: str
    agent_hashes: dict[str, str]
    choice: dict[str, str | float | int | bool | None]
    knobs: list[str]
    channels: list[str]
    version: str
    preflight: int | None


class Runs(Told):
    """A page, the latest first; ``next`` is the ``before`` of the next one, null at the end."""

    runs: list[RunSummary]
    next: int | None


class Step(Told):
    """A setting and what was read there.

    Attributes:
        step: steps taken so far; 0: as found, and again after a first trend move.
        seconds: since arming.
        values: per channel, null where not valid.
        setpoint_a, readback_a: per knob.
        note: for people, mostly empty.
        time: wall clock.
        is_again: the same setting read once more; what was read before is void.
    """

    step: int
    seconds: float | None
    figures: dict[str, float | None]
    values: list[float | None]
    setpoint_a: list[float]
    readback_a: list[float | None]
    note: str
    time: datetime
    is_again: bool = False


class Steps(Told):
    """Every step of a run, in order."""

    run: Identifier
    steps: list[Step]


class SetpointLine(Told):
    """What became of one setpoint, A.

    Attributes:
        snapshot: before the run.
        last: what the run has written last; null: nothing.
        now, now_age_s: what the machine holds now; null where nobody knows.
        readback: measured now.
        restored: outcome of the restore in a word; empty where there was none.
        message: for people.
        is_owed: it is not where the snapshot has it, and nobody has accepted that.
    """

    name: str
    pv: str
    snapshot: float | None
    last: float | None
    now: float | None
    now_age_s: float | None
    readback: float | None
    restored: str
    message: str
    is_owed: bool


class Setpoints(Told):
    """Every setpoint of a run."""

    run: Identifier
    setpoints: list[SetpointLine]


class Put(Told):
    """One put, written down before it was sent; ``outcome`` empty: not known (yet)."""

    group: int
    pv: str
    old: float
    new: float
    outcome: str
    held: float | None
    message: str
    written: datetime
    settled: datetime | None


class Puts(Told):
    """Every put of a run, in order."""

    run: Identifier
    puts: list[Put]


class Commanded(Told):
    """A command is written down; ``message`` says what happens next."""

    command: Identifier
    run: Identifier
    verb: Verb
    control_is_alive: bool
    message: str
