"""What can be tuned, and what it reads now."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from beamctl.api.schemas.base import Told
from beamctl.store.states import RunState

Kind = Literal["orbit", "transmission"]


class Task(Told):
    """What can be asked for.

    Attributes:
        section: name of the section, one run at a time.
        goal: for people.
        target, target_unit: default goal as a number.
        max_steps: default budget.
        algorithms: who can propose, the default first; ``preflight`` and ``snapshot`` are asked for elsewhere.
        agents: trained agents that are enabled and could be used, the default first.
    """

    name: str
    title: str
    machine: str
    section: str
    kind: Kind
    knobs: int
    instruments: str
    goal: str
    target: float
    target_unit: Literal["mm", "T"]
    max_steps: int
    algorithms: list[str]
    agents: list[str]


class Tasks(Told):
    """Every task."""

    tasks: list[Task]


class KnobInfo(Told):
    """One setpoint that may be moved, A.

    Attributes:
        lo, hi: limits of the description.
        step: largest change in one write.
        travel: largest distance from where a run finds it; null: none but the limits.
        tolerance: largest believable distance of readback and setpoint.
        plane: ``x``, ``y``, or empty where it acts on both.
        s_m: where it is, from the start of the section; null where the description does not say.
    """

    name: str
    setpoint_pv: str
    readback_pv: str
    lo: float
    hi: float
    step: float
    travel: float | None
    tolerance: float
    plane: Literal["x", "y", ""]
    s_m: float | None


class ChannelInfo(Told):
    """One instrument reading.

    Attributes:
        device, plane: of a BPM: its name and ``x`` or ``y``; of a current monitor: its name and empty.
        reference: what it should read; null where there is no such thing.
        s_m: as :class:`KnobInfo`.
    """

    name: str
    pv: str
    device: str
    plane: Literal["x", "y", ""]
    unit: Literal["mm", "mA"]
    reference: float | None
    s_m: float | None


class SectionDetail(Told):
    """What does not change while the service runs.

    Attributes:
        key: name of the section in the deployment.
        hash: of the part of the description that its tuning depends on.
        identity_pv, permit_pv, enable_pv, heartbeat_pv, current_pv: conditions.
        current_floor_ma: below, there is no beam to tune with.
    """

    key: str
    title: str
    machine: str
    kind: Kind
    hash: str
    tasks: list[str]
    knobs: list[KnobInfo]
    channels: list[ChannelInfo]
    identity_pv: str
    permit_pv: str
    enable_pv: str
    heartbeat_pv: str
    current_pv: str
    current_floor_ma: float


class Live(Told):
    """What a section reads now, as the control process sees it; arrays in the order of :class:`SectionDetail`.

    Attributes:
        time: when the control process has put this together.
        age_s: how long ago that is.
        is_fresh: young enough to be believed at all.
        unfit: why nothing may be written now, a sentence each; empty: fit.
        identity: what the machine calls itself; empty: silent.
        is_simulated: it says that it is a simulation.
        permit, enable: null: not known.
        heartbeat_age_s: since it moved last; null: never seen moving.
        current_ma, current_severity: beam current upstream.
        setpoint_a, readback_a, knob_severity: per knob; severity 0 to 3 as EPICS has it, 4: not connected.
        values, median, noise: per channel: newest, median and rms of the last readings.
        valid: to be believed.
        severity, channel_age_s: per channel; as above, and since the last update.
        figures: of the medians: ``rms_mm``, or ``acct_ma``, ``mfc1_ma``, ``transmission``.
    """

    section: str
    time: datetime
    age_s: float
    is_fresh: bool
    unfit: list[str]
    identity: str
    is_simulated: bool
    permit: bool | None
    enable: bool | None
    heartbeat_age_s: float | None
    current_ma: float | None
    current_severity: int
    setpoint_a: list[float | None]
    readback_a: list[float | None]
    knob_severity: list[int]
    values: list[float | None]
    median: list[float | None]
    noise: list[float | None]
    valid: list[bool]
    severity: list[int]
    channel_age_s: list[float | None]
    figures: dict[str, float | None]


class SectionSummary(Told):
    """One section in the overview.

    Attributes:
        state, reason: of its run, or of the last one; ``idle`` before the first.
        run: the run that has it, or had it last; null before the first.
        is_owned: a run has it now.
        owner: who asked for that run; empty where nobody has it.
        restore_owed: what was written has neither been accepted nor restored.
        task: of that run; empty before the first.
        step, max_steps: of that run.
        live: the newest reading; null where the control process has never published one.
    """

    key: str
    title: str
    machine: str
    kind: Kind
    tasks: list[str]
    state: RunState
    reason: str
    run: int | None
    is_owned: bool
    owner: str
    restore_owed: bool
    task: str
    step: int
    max_steps: int
    live: Live | None


class BeamlineElement(Told):
    """A station along the beam line, upstream first; ``section`` is empty where nothing is tuned."""

    name: str
    title: str
    section: str


class Control(Told):
    """The control process.

    Attributes:
        is_alive: it holds its lease now.
        owner: host and process that have, or had, it; empty before the first.
        heartbeat: when it last said that it lives.
        is_halted: a person has frozen everything by PV.
        message: the same in words, with what to do.
    """

    is_alive: bool
    owner: str
    heartbeat: datetime | None
    is_halted: bool
    message: str


class MachineOverview(Told):
    """Everything at one glance."""

    time: datetime
    control: Control
    beamline: list[BeamlineElement]
    sections: list[SectionSummary]


class Service(Told):
    """This service.

    Attributes:
        version: of beamctl.
        api_version: of this interface.
        store: for people, without password.
        last_event: number of the newest event.
    """

    version: str
    api_version: str
    store: str
    machines: list[str]
    control: Control
    last_event: int
    time: datetime


class Health(Told):
    """``ok``, or what is wrong, a sentence each."""

    status: Literal["ok", "not ready"]
    wrong: list[str] = Field(default_factory=list)
