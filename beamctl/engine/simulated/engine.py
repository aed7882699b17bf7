"""The in-process engine: the simulated plant behind the same interface as Channel Access.

Time is virtual: it passes only while somebody waits or writes, so a tuning run takes milliseconds. ``faults``
lets tests and demonstrations break any PV in the ways real ones break.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from beamctl.engine.base import Meta, Outcome, Reading, Severity, WriteResult
from beamctl.engine.simulated.channel import Channel, Role
from beamctl.engine.simulated.plant import Plant, Sample
from beamctl.errors import ChannelConnectionError, StaleReadingError

HISTORY = 256
"""updates kept per PV"""
HOST = "in process"


@dataclass
class Faults:
    """What is broken now; PVs are named, everything is healthy at the start.

    Attributes:
        lost: PVs that do not answer.
        invalid: PVs that publish severity INVALID.
        not_finite: PVs that publish NaN.
        silent: PVs that stay connected, but are not scanned any more: no updates, an old time stamp.
        refusing: setpoints that the IOC refuses.
        altering: setpoints that end at another value than asked, by this much.
        stuck: PVs that publish always the same.
        jammed: setpoints that are taken and shown, but whose supplies stand still: neither readback nor field follow.
        held: setpoints whose puts do not complete.
        frozen: the whole IOC has stopped: connected, but nothing moves and nothing answers. Puts sent meanwhile
            are applied when it goes on, as by a real one.
    """

    lost: set[str] = field(default_factory=set)
    invalid: set[str] = field(default_factory=set)
    not_finite: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    altering: dict[str, float] = field(default_factory=dict)
    stuck: dict[str, float] = field(default_factory=dict)
    jammed: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    frozen: bool = False


class VirtualClock:
    """Time that passes when somebody sleeps; the plant moves with it."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._now = 0.0
        self._advance = advance

    def now(self) -> float:
        """Virtual seconds since the engine was made."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the machine by ``seconds``."""
        self._now += seconds
        self._advance(seconds)


class SimulatedEngine:
    """Engine in front of a plant in this process; see :class:`beamctl.engine.base.Engine`.

    Args:
        plant: the machine.
        faults: what is broken; shared with whoever breaks it.
    """

    def __init__(self, plant: Plant, faults: Faults | None = None) -> None:
        self.plant = plant
        self.faults = faults or Faults()
        self.clock = VirtualClock(self._pass_time)
        self._period = 1.0 / plant.rate_hz
        self._history: dict[str, deque[Reading]] = {}
        self._sections: set[str] = set()
        self._outstanding: dict[str, float] = {}
        self._unsent: dict[str, float] = {}
        self._to_next_shot = self._period

    def start(self, pvs: Sequence[str], timeout_s: float = 10.0) -> None:
        """Subscribe; every PV has a first value afterwards."""
        missing = [pv for pv in pvs if self._is_gone(pv)] if not self.faults.frozen else list(pvs)
        if missing:
            raise ChannelConnectionError(f"no answer within {timeout_s:g} s from: {', '.join(missing)}")
        new = [pv for pv in pvs if pv not in self._history]
        self._history.update({pv: deque(maxlen=HISTORY) for pv in new})
        self._sections = {self.plant.channels[pv].section for pv in self._history}
        shot = self.plant.shot(self._sections)
        for pv in new:
            self._append(pv, shot[pv] if pv in shot else Sample(self.plant.setpoint(pv)))

    def latest(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Last update of each PV."""
        self._check_started(pvs)
        return {pv: replace(self._history[pv][-1], connected=not self._is_gone(pv)) for pv in pvs}

    def meta(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Meta]:
        """What the records say."""
        self._check_answering(pvs, timeout_s)
        return {pv: _meta(self.plant.channels[pv]) for pv in pvs}

    def wait(
        self, pvs: Sequence[str], since: Mapping[str, int], count: int, timeout_s: float
    ) -> dict[str, list[Reading]]:
        """Let virtual time pass until every PV has ``count`` new updates."""
        self._check_started(pvs)
        if count > HISTORY:
            raise ValueError(f"at most {HISTORY} updates are kept, {count} asked")
        deadline = self.clock.now() + timeout_s
        while True:
            lost = [pv for pv in pvs if self._is_gone(pv)]
            if lost:
                raise ChannelConnectionError(f"connection lost to: {', '.join(lost)}")
            fresh = {pv: [r for r in self._history[pv] if r.seq > since[pv]] for pv in pvs}
            late = [pv for pv in pvs if len(fresh[pv]) < count]
            if not late:
                return {pv: readings[:count] for pv, readings in fresh.items()}
            if self.clock.now() >= deadline:
                raise StaleReadingError(f"fewer than {count} updates within {timeout_s:g} s from: {', '.join(late)}")
            self.clock.sleep(self._period)

    def read(self, pvs: Sequence[str], timeout_s: float = 5.0) -> dict[str, Reading]:
        """The present value of each PV."""
        self._check_answering(pvs, timeout_s)
        readings = self.latest(pvs)
        for pv in pvs:
            if self.plant.channels[pv].writable:
                value, severity = self._as_broken(pv, Sample(self.plant.setpoint(pv)))
                readings[pv] = replace(readings[pv], value=value, severity=severity)
        return readings

    def write(self, values: Mapping[str, float], timeout_s: float = 20.0) -> dict[str, WriteResult]:
        """Put all values and let virtual time pass until the supplies have arrived."""
        blocked = "; ".join(filter(None, (self._why_blocked(pv, value) for pv, value in values.items())))
        if blocked:
            return {pv: WriteResult(Outcome.BLOCKED, value, message=blocked) for pv, value in values.items()}
        self._outstanding.update(values)
        if self.faults.frozen:
            self._unsent.update(values)
            self.clock.sleep(timeout_s)
            return {pv: WriteResult(Outcome.UNKNOWN, value, message="no answer") for pv, value in values.items()}
        results = {pv: self._put(pv, value) for pv, value in values.items()}
        deadline = self.clock.now() + timeout_s
        while self._settle_outstanding(values) and self.clock.now() < deadline:
            self.clock.sleep(self._period)
        unfinished = self._settle_outstanding(values)
        for pv in values:
            if results[pv].outcome in (Outcome.OK, Outcome.ALTERED):
                results[pv] = self._judge(pv, values[pv])
        for pv in unfinished:
            results[pv] = WriteResult(Outcome.UNKNOWN, values[pv], message="the put did not complete in time")
        return results

    def close(self) -> None:
        """Drop all subscriptions."""
        self._history.clear()
        self._outstanding.clear()

    def _put(self, pv: str, value: float) -> WriteResult:
        if pv in self.faults.refusing:
            held = float(self.plant.setpoint(pv))
            return WriteResult(Outcome.REFUSED, value, held, "refused by the IOC")
        self.plant.jam(self.faults.jammed)
        held = self.plant.put(pv, value + self.faults.altering.get(pv, 0.0))
        self._publish({pv: Sample(held)})
        return self._judge(pv, value)

    def _judge(self, pv: str, value: float) -> WriteResult:
        """What a put has come to, by what the setpoint holds now."""
        held = float(self.plant.setpoint(pv))
        outcome = Outcome.OK if math.isclose(held, value, rel_tol=1e-9, abs_tol=1e-12) else Outcome.ALTERED
        return WriteResult(outcome, value, held)

    def _settle_outstanding(self, pvs: Iterable[str]) -> list[str]:
        """Forget the puts that have completed; returns those of ``pvs`` that have not."""
        for pv in list(self._outstanding):
            if pv not in self._unsent and pv not in self.faults.held and self.plant.is_settled(pv):
                del self._outstanding[pv]
        return [pv for pv in pvs if pv in self._outstanding]

    def _why_blocked(self, pv: str, value: float) -> str:
        if pv not in self._history or self._is_gone(pv):
            return f"{pv} is not connected"
        channel = self.plant.channels[pv]
        if not channel.writable or channel.is_text:
            return f"{pv} cannot be written"
        if not math.isfinite(value):
            return f"{pv}: {value} is not a finite number"
        return f"{pv} has a put outstanding" if self._settle_outstanding([pv]) else ""

    def _is_gone(self, pv: str) -> bool:
        return pv not in self.plant.channels or pv in self.faults.lost

    def _check_started(self, pvs: Sequence[str]) -> None:
        unknown = [pv for pv in pvs if pv not in self._history]
        if unknown:
            raise ChannelConnectionError(f"not started: {', '.join(unknown)}")

    def _check_answering(self, pvs: Sequence[str], timeout_s: float) -> None:
        self._check_started(pvs)
        silent = [pv for pv in pvs if self.faults.frozen or self._is_gone(pv)]
        if silent:
            raise ChannelConnectionError(f"no answer within {timeout_s:g} s from: {', '.join(silent)}")

    def _pass_time(self, seconds: float) -> None:
        if self.faults.frozen:
            return
        self.plant.jam(self.faults.jammed)
        for pv in list(self._unsent):
            self._put(pv, self._unsent.pop(pv))
        while seconds >= self._to_next_shot - 1e-9:
            self.plant.advance(self._to_next_shot)
            seconds -= self._to_next_shot
            self._to_next_shot = self._period
            self._publish(self.plant.shot(self._sections))
            self._publish_foreign()
        if seconds > 0:
            self.plant.advance(seconds)
            self._to_next_shot -= seconds

    def _publish_foreign(self) -> None:
        """Setpoints that somebody has written past this engine."""
        held = {pv: self.plant.setpoint(pv) for pv in self._history if self.plant.channels[pv].writable}
        self._publish({pv: Sample(v) for pv, v in held.items() if v != self._history[pv][-1].value})

    def _publish(self, samples: Mapping[str, Sample]) -> None:
        for pv, sample in samples.items():
            if pv in self._history and pv not in self.faults.lost | self.faults.silent:
                self._append(pv, sample)

    def _append(self, pv: str, sample: Sample) -> None:
        value, severity = self._as_broken(pv, sample)
        history = self._history[pv]
        seq = history[-1].seq + 1 if history else 1
        now = self.clock.now()
        history.append(Reading(value, severity, 0, now, now, seq, connected=True))

    def _as_broken(self, pv: str, sample: Sample) -> tuple[float | str, Severity]:
        """Value and severity with the faults of the PV."""
        value = math.nan if pv in self.faults.not_finite else self.faults.stuck.get(pv, sample.value)
        return value, Severity.INVALID if pv in self.faults.invalid else sample.severity


def _meta(channel: Channel) -> Meta:
    has_limits = channel.role is Role.SETPOINT
    lo, hi = (channel.lo, channel.hi) if has_limits else (math.nan, math.nan)
    return Meta(channel.units, channel.precision, lo, hi, channel.writable, HOST)
