"""Which PVs a run moves, reads and relies on."""

import math
from dataclasses import dataclass

from beamctl.machine.description import MachineDescription, OrbitTask
from beamctl.machine.injector import InjectorDescription, TransmissionTask
from beamctl.machine.machine import FencePvs


@dataclass(frozen=True)
class Fence:
    """PVs of a fence, see :mod:`beamctl.engine.fenced`."""

    request: str
    acknowledge: str
    clock: str


@dataclass(frozen=True)
class Knob:
    """One setpoint that may be moved, A.

    Attributes:
        name: as in the machine description.
        setpoint, readback: PVs.
        lo, hi: limits of the description; the IOC's own limits may narrow them.
        step: largest change in one write.
        travel: largest distance from where a run finds the setpoint.
        tolerance: largest believable distance of readback and setpoint after settling.
        fence: in front of the setpoint, None where there is none.
    """

    name: str
    setpoint: str
    readback: str
    lo: float
    hi: float
    step: float
    tolerance: float
    fence: Fence | None = None
    travel: float = math.inf


@dataclass(frozen=True)
class SectionLayout:
    """Everything a run on one section needs from the control system.

    Attributes:
        knobs: setpoints in the order of the problem's knobs.
        channels: PVs of the instruments: BPMs, x and y interleaved, mm; or ACCT and MFC1, mA.
        channel_names: the same for people.
        valid_range: readings outside are not believed.
        least_share: smallest share of the channels that must be usable.
        readings: how many are combined after each step.
        max_age_s: an older reading is stale.
        settle_s: wait between the end of a ramp and the first reading that counts.
        identity, accepted: PV and the texts that are the right machine.
        permit: PV, 1 = beam allowed.
        enable: PV, 1 = programs may tune; empty where the description names none, and then nothing is written.
        heartbeat, heartbeat_max_age_s: a PV that counts, and how long it may stand still.
        current, current_floor_ma: beam current upstream of the section; below the floor there is no beam to tune with.
    """

    knobs: tuple[Knob, ...]
    channels: tuple[str, ...]
    channel_names: tuple[str, ...]
    valid_range: tuple[float, float]
    least_share: float
    readings: int
    max_age_s: float
    settle_s: float
    identity: str
    accepted: tuple[str, ...]
    permit: str
    enable: str
    heartbeat: str
    heartbeat_max_age_s: float
    current: str
    current_floor_ma: float

    @property
    def permits(self) -> tuple[str, ...]:
        """PVs that all have to be 1."""
        return (self.permit, self.enable) if self.enable else (self.permit,)

    @property
    def all_pvs(self) -> tuple[str, ...]:
        """Every PV that has to be there."""
        knobs = (pv for k in self.knobs for pv in (k.setpoint, k.readback))
        return (*knobs, *self.channels, self.identity, *self.permits, self.heartbeat, self.current)


def section_layout(machine: MachineDescription, task: OrbitTask, prefix: str = "") -> SectionLayout:
    """The layout of an orbit task.

    Args:
        machine: the description.
        task: one of its tasks.
        prefix: put in front of every PV name.
    """
    section, types = machine.sections[task.section], machine.types
    kind, bpm = types.corrector, types.bpm
    knobs = tuple(
        Knob(
            c.name, prefix + c.setpoint, prefix + c.readback,
            kind.limits.lo, kind.limits.hi, kind.step_limit.value, kind.tolerance.value, _fence(c.fence, prefix),
            math.inf if kind.travel_limit is None else kind.travel_limit.value,
        )
        for c in section.correctors
        if c.name in task.correctors
    )  # fmt: skip
    bpms = [b for b in section.bpms if b.name in task.bpms]
    return SectionLayout(
        knobs=knobs,
        channels=tuple(prefix + pv for b in bpms for pv in (b.x, b.y)),
        channel_names=tuple(f"{b.name} {plane}" for b in bpms for plane in "xy"),
        valid_range=(bpm.valid.lo, bpm.valid.hi),
        least_share=0.5,
        readings=bpm.readings_per_step,
        max_age_s=bpm.max_age.value,
        settle_s=kind.settle_time.value,
        identity=prefix + machine.identity.pv,
        accepted=(machine.identity.live, machine.identity.simulated),
        permit=prefix + machine.permit,
        enable="" if machine.enable is None else prefix + machine.enable,
        heartbeat=prefix + machine.heartbeat.pv,
        heartbeat_max_age_s=machine.heartbeat.max_age.value,
        current=prefix + section.current_upstream,
        current_floor_ma=types.current_monitor.beam_floor.value,
    )


def injector_layout(machine: InjectorDescription, task: TransmissionTask, prefix: str = "") -> SectionLayout:
    """The layout of a transmission task; arguments as :func:`section_layout`.

    The beam that may be lost is what the source delivers: the ACCT itself may read nothing at all at the start.
    """
    supply, monitors = machine.lebt.supply, machine.monitors
    knobs = tuple(
        Knob(
            k.name, prefix + k.setpoint, prefix + k.readback, k.limits.lo, k.limits.hi,
            supply.step_share.si() * (k.limits.hi - k.limits.lo), supply.tolerance.value, _fence(k.fence, prefix),
            math.inf if supply.travel_share is None else supply.travel_share.si() * (k.limits.hi - k.limits.lo),
        )
        for k in machine.lebt.knobs
        if k.name in task.knobs
    )  # fmt: skip
    return SectionLayout(
        knobs=knobs,
        channels=(prefix + monitors.acct, prefix + monitors.mfc1),
        channel_names=("ACCT", "MFC1"),
        valid_range=(monitors.valid.lo, monitors.valid.hi),
        least_share=1.0,
        readings=monitors.readings_per_step,
        max_age_s=monitors.max_age.value,
        settle_s=supply.settle_time.value,
        identity=prefix + machine.identity.pv,
        accepted=(machine.identity.live, machine.identity.simulated),
        permit=prefix + machine.permit,
        enable="" if machine.enable is None else prefix + machine.enable,
        heartbeat=prefix + machine.heartbeat.pv,
        heartbeat_max_age_s=machine.heartbeat.max_age.value,
        current=prefix + machine.source.monitor,
        current_floor_ma=machine.source.current_floor.value,
    )


def _fence(pvs: FencePvs | None, prefix: str) -> Fence | None:
    return None if pvs is None else Fence(prefix + pvs.request, prefix + pvs.acknowledge, prefix + pvs.clock)
