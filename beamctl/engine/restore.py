"""Brings the knobs of a run back to its snapshot, in steps, verified, and tells the truth about each.

What is right when:

* permit low, another machine answers, or a person has halted the run: nothing is written at all, and nobody waits;
* heartbeat dead, or connections lost: nothing is written, for a put into a dead IOC is applied at some later time,
  when somebody else may be at work; after ``LIFE_WAIT_S`` what could not be restored is told;
* the outcome of a put is unknown: it may be applied as soon as the IOC goes on, so the IOC has to be alive for
  ``REVERIFY_S`` before the restore, and is watched for as long after it, and what moves then is restored again;
* a setpoint holds what this run has neither found nor asked for: somebody else's, left alone;
* one knob refuses or does not follow: the others are restored.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Outcome, Reading, WriteResult
from beamctl.engine.conditions import Conditions, state
from beamctl.engine.layout import Knob
from beamctl.engine.setpoints import OwnedSetpoints, check, is_same, towards
from beamctl.errors import (
    ChannelConnectionError,
    EngineError,
    HaltedError,
    PermitLostError,
    SetpointLimitError,
    WriteFailedError,
)

Array = NDArray[np.float64]

ATTEMPTS = 5
RETRY_S = 2.0
LIFE_WAIT_S = 30.0
"""how long a restore waits for a dead IOC; libca needs up to half a minute to find one again"""
REVERIFY_S = 10.0
INHERITED_REVERIFY_S = 5.0
"""after a restore of what a dead process has left: it sends no more, and its IOC has been watched for REVERIFY_S before"""
POLL_S = 0.5
FOLLOW_S = 5.0
"""how long a readback may take to arrive at a setpoint that has not ramped under our eyes"""
SINGLE_READ_S = 1.0


class RestoreOutcome(StrEnum):
    """What became of one knob when the snapshot was restored."""

    UNTOUCHED = "untouched"
    RESTORED = "restored"
    FOREIGN = "left alone: changed by someone else"
    UNVERIFIED = "never written by this run, but could not be verified"
    FAILED = "NOT restored"


@dataclass(frozen=True)
class RestoreLine:
    """One line of the restore report, A; NaN where nothing could be read."""

    name: str
    setpoint_pv: str
    snapshot: float
    held: float
    readback: float
    outcome: RestoreOutcome
    message: str = ""


@dataclass(frozen=True)
class RestoreReport:
    """What became of the snapshot.

    Attributes:
        lines: one per knob.
        interrupt: a KeyboardInterrupt or the like that came meanwhile; the restore was finished first.
    """

    lines: list[RestoreLine]
    interrupt: BaseException | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every knob is verified to be where the snapshot found it."""
        return all(line.outcome in (RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED) for line in self.lines)


class Restorer:
    """One restore of one run.

    Args:
        engine: the machine.
        setpoints: the run's.
        goal: the snapshot, A, shape (k,).
        conditions: asked before every put.
        is_inherited: the puts were those of a process that is gone. Then the IOC is always watched first; and a put
            that shows in its setpoint has come, where a living process may have another one of it under way.
    """

    def __init__(
        self,
        engine: Engine,
        setpoints: OwnedSetpoints,
        goal: Array,
        conditions: Conditions,
        *,
        is_inherited: bool = False,
    ) -> None:
        self._engine = engine
        self._setpoints = setpoints
        self._goal = {k.setpoint: float(v) for k, v in zip(setpoints.knobs, goal, strict=True)}
        self._conditions = conditions
        self._deadline = engine.clock.now() + LIFE_WAIT_S
        self._problem = ""
        self._failed: dict[str, str] = {}
        self._may_heal = False
        self._was_in_doubt = bool(setpoints.in_doubt)
        self._is_inherited = is_inherited
        self._second_watch_s = INHERITED_REVERIFY_S if is_inherited else REVERIFY_S

    def run(self) -> RestoreReport:
        """Restore, whatever happens; every exception ends in the report."""
        interrupt: BaseException | None = None
        for _ in range(ATTEMPTS):
            try:
                if self._attempt():
                    break
                self._engine.clock.sleep(RETRY_S)
            except (PermitLostError, HaltedError) as error:
                self._problem = str(error)
                break
            except BaseException as error:
                self._problem = _text(error)
                interrupt = interrupt if isinstance(error, Exception) else error
        for report in (self._lines, self._lines, self._lines_without_readings):
            try:
                return RestoreReport(report(), interrupt)
            except BaseException as error:
                self._problem = _text(error)
                interrupt = interrupt if isinstance(error, Exception) else error
        raise AssertionError("unreachable: the last report reads nothing")

    def _attempt(self) -> bool:
        """Wait for life and for late puts, bring all back, watch; whether that is the end of it."""
        if not any(map(self._setpoints.is_touched, self._setpoints.pvs)):
            return True
        self._wait_for_life()
        self._was_in_doubt = bool(self._setpoints.in_doubt)
        if self._was_in_doubt or self._is_inherited:
            self._watch(REVERIFY_S, end_early=False)
        if self._is_inherited:
            self._setpoints.note_landed({pv: r.number for pv, r in self._read(self._setpoints.pvs).items()})
            self._was_in_doubt, self._is_inherited = bool(self._setpoints.in_doubt), False
        self._failed.clear()
        self._may_heal = False
        self._bring_back()
        self._problem = ""
        if self._was_in_doubt:
            if not self._watch(self._second_watch_s, end_early=True):
                return False
            self._was_in_doubt = False
        return not self._may_heal

    def _wait_for_life(self) -> None:
        """Nothing is written into a dead IOC.

        Raises:
            PermitLostError: at once.
            EngineError: still dead or lost after LIFE_WAIT_S.
        """
        while True:
            try:
                self._conditions.check_permit()
            except PermitLostError:
                raise
            except EngineError:
                if self._engine.clock.now() >= self._deadline:
                    raise
            else:
                return
            self._engine.clock.sleep(POLL_S)

    def _watch(self, seconds: float, *, end_early: bool) -> bool:
        """See for a while what late puts do; whether every setpoint stayed where it was.

        Raises:
            StaleReadingError: the IOC stood still meanwhile.
        """
        first = self._read(self._setpoints.pvs)
        end = self._engine.clock.now() + seconds
        stayed = True
        while self._engine.clock.now() < end and (stayed or not end_early):
            self._engine.clock.sleep(POLL_S)
            self._conditions.check_heartbeat()
            now = self._read(self._setpoints.pvs)
            stayed = now.keys() == first.keys() and all(is_same(now[pv].number, r.number) for pv, r in first.items())
        return stayed

    def _bring_back(self) -> None:
        """Step all knobs that are ours towards the snapshot until they are there or have failed."""
        knobs = self._setpoints.knobs
        most = max(k.hi - k.lo for k in knobs) / min(k.step for k in knobs)
        for _ in range(math.ceil(most) + 2):
            readings = self._read(self._setpoints.pvs)
            step: dict[str, float] = {}
            present: dict[str, float] = {}
            for knob in knobs:
                held = self._held(knob, readings)
                if not is_same(held, self._goal[knob.setpoint]) and math.isfinite(held):
                    step[knob.setpoint] = towards(held, self._goal[knob.setpoint], knob.step)
                    present[knob.setpoint] = held
            if not step:
                return
            self._conditions.check_permit()
            self._put(step, present)

    def _held(self, knob: Knob, readings: Mapping[str, Reading]) -> float:
        """What an own, readable, writable setpoint holds, A; NaN for one that has to be left alone."""
        pv = knob.setpoint
        if pv in self._failed:
            return math.nan
        if pv not in readings or not readings[pv].is_valid:
            self._failed[pv] = "could not be read" if pv not in readings else f"reads {state(readings[pv])}"
            self._may_heal = True
            return math.nan
        held = readings[pv].number
        if not self._setpoints.is_ours(pv, held):
            return math.nan
        try:
            check([knob], [towards(held, self._goal[pv], knob.step)], [held])
        except SetpointLimitError as error:
            self._failed[pv] = str(error)
            return math.nan
        return held

    def _put(self, values: Mapping[str, float], present: Mapping[str, float]) -> None:
        """Put as a group; where one member holds the others up, one by one.

        Raises:
            WriteFailedError: an outcome is unknown; nothing more is written before the IOC has been watched.
        """
        results = self._setpoints.put(values, present, is_restore=True)
        if len(values) > 1 and all(r.outcome is Outcome.BLOCKED for r in results.values()):
            results = {}
            for pv, value in values.items():
                results |= self._setpoints.put({pv: value}, present, is_restore=True)
                if results[pv].outcome is Outcome.UNKNOWN:
                    break
        for pv, result in results.items():
            if result.outcome is not Outcome.OK:
                self._failed[pv] = described(pv, result)
                self._may_heal |= result.outcome is Outcome.BLOCKED
        unknown = [self._failed[pv] for pv, r in results.items() if r.outcome is Outcome.UNKNOWN]
        if unknown:
            raise WriteFailedError("; ".join(unknown))

    def _read(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Fresh readings of those PVs that answer."""
        connected = [pv for pv, reading in self._engine.latest(pvs).items() if reading.connected]
        try:
            return self._engine.read(connected, SINGLE_READ_S)
        except ChannelConnectionError:
            pass
        if self._why_dead():
            return {}
        answers: dict[str, Reading] = {}
        for pv in connected:
            with suppress(ChannelConnectionError):
                answers |= self._engine.read([pv], SINGLE_READ_S)
        return answers

    def _lines(self) -> list[RestoreLine]:
        """Read everything again and judge; readbacks have a while to arrive."""
        pvs = [pv for k in self._setpoints.knobs for pv in (k.setpoint, k.readback)]
        end = self._engine.clock.now() + FOLLOW_S
        while True:
            dead = self._why_dead()
            readings = self._read(pvs)
            lines = [self._line(knob, readings, dead) for knob in self._setpoints.knobs]
            late = dead or any("readback" in line.message for line in lines)
            if not late or self._engine.clock.now() >= end:
                return lines
            self._engine.clock.sleep(POLL_S)

    def _why_dead(self) -> str:
        try:
            self._conditions.check_heartbeat()
        except EngineError as error:
            return str(error)
        return ""

    def _lines_without_readings(self) -> list[RestoreLine]:
        return [self._line(knob, {}, "") for knob in self._setpoints.knobs]

    def _line(self, knob: Knob, readings: Mapping[str, Reading], dead: str) -> RestoreLine:
        pv = knob.setpoint
        goal, is_touched = self._goal[pv], self._setpoints.is_touched(pv)
        nothing = Reading(math.nan)
        held, readback = readings.get(pv, nothing), readings.get(knob.readback, nothing)

        def line(outcome: RestoreOutcome, message: str = "") -> RestoreLine:
            return RestoreLine(knob.name, pv, goal, held.number, readback.number, outcome, message)

        bad = RestoreOutcome.FAILED if is_touched else RestoreOutcome.UNVERIFIED
        if not held.is_valid:
            return line(bad, self._failed.get(pv) or self._problem or dead or "could not be read")
        if not self._setpoints.is_ours(pv, held.number) and not is_same(held.number, goal):
            return line(RestoreOutcome.FOREIGN, "or its IOC was restarted")
        if not is_same(held.number, goal):
            return line(bad, self._failed.get(pv) or self._problem or "moved after the restore")
        if not (readback.is_valid and abs(readback.number - held.number) <= knob.tolerance):
            return line(bad, f"readback {knob.readback} is {state(readback)}, must be {goal:.3f} +- {knob.tolerance:g}")
        if is_touched and dead:
            return line(bad, f"holds the snapshot, not verified: {dead}")
        if pv in self._setpoints.in_doubt and self._was_in_doubt:
            return line(bad, f"holds the snapshot, but an earlier put may still be applied: {self._problem}")
        return line(RestoreOutcome.RESTORED if is_touched else RestoreOutcome.UNTOUCHED)


def described(pv: str, result: WriteResult) -> str:
    """A put that failed, for people."""
    text = f"{pv}: asked {result.asked:.4g} A, {result.outcome.value}, holds {result.held:.4g} A {result.message}"
    return text.rstrip()


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
