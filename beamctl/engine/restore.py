"""Brings the knobs of a run back to its snapshot, in steps, verified, and tells the truth about each.

What is right when:

* permit low, or another machine answers: nothing is written at all, and nobody waits;
* heartbeat dead, or connections lost: nothing is written, for a put into a dead IOC is applied at some later time,
  when somebody else may be at work; after ``LIFE_WAIT_S`` what could not be restored is told;
* the outcome of a put is unknown: it may be applied as soon as the IOC goes on, so the IOC has to be alive for
  ``REVERIFY_S`` before the restore, and is watched for as long after it, and what moves then is restored again;
* a setpoint holds what this run has neither found nor asked for: somebody else's, left alone;
* one knob refuses or does not follow: the others are restored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Outcome, Reading, WriteResult
from beamctl.engine.conditions import Conditions
from beamctl.engine.layout import Knob
from beamctl.engine.setpoints import OwnedSetpoints, is_same, towards
from beamctl.errors import ChannelConnectionError, EngineError, PermitLostError, WriteFailedError

Array = NDArray[np.float64]

ATTEMPTS = 4
LIFE_WAIT_S = 30.0
"""how long a restore waits for a dead IOC; libca needs up to half a minute to find one again"""
REVERIFY_S = 10.0
REVERIFY_POLL_S = 0.5
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
    """

    def __init__(self, engine: Engine, setpoints: OwnedSetpoints, goal: Array, conditions: Conditions) -> None:
        self._engine = engine
        self._setpoints = setpoints
        self._goal = {k.setpoint: float(v) for k, v in zip(setpoints.knobs, goal, strict=True)}
        self._conditions = conditions
        self._problem = ""
        self._failed: dict[str, str] = {}
        self._deadline = engine.clock.now() + LIFE_WAIT_S
        self._was_in_doubt = False

    def run(self) -> RestoreReport:
        """Restore, whatever happens; every exception ends in the report."""
        interrupt: BaseException | None = None
        for _ in range(ATTEMPTS):
            try:
                if self._attempt():
                    break
            except PermitLostError as error:
                self._problem = str(error)
                break
            except Exception as error:
                self._problem = _text(error)
                if not self._may_try_again(error):
                    break
            except BaseException as error:
                interrupt, self._problem = error, _text(error)
        try:
            return RestoreReport(self._lines(), interrupt)
        except Exception as error:
            self._problem = _text(error)
        except BaseException as error:
            interrupt, self._problem = error, _text(error)
        return RestoreReport(self._lines_of_no_readings(), interrupt)

    def _attempt(self) -> bool:
        """Wait for life and for late puts, bring all back, watch; whether that is the end of it."""
        pvs = self._setpoints.pvs
        if not any(self._setpoints.is_touched(pv) for pv in pvs):
            return True
        self._wait_for_life()
        if self._setpoints.in_doubt:
            self._was_in_doubt = True
            self._watch()
        self._failed.clear()
        self._bring_back()
        self._problem = ""
        if self._was_in_doubt and not self._watch():
            return False
        return not any("outstanding" in reason for reason in self._failed.values())

    def _may_try_again(self, error: Exception) -> bool:
        return not isinstance(error, EngineError) or self._engine.clock.now() < self._deadline

    def _wait_for_life(self) -> None:
        """Nothing is written into a dead IOC."""
        while True:
            try:
                self._conditions.check_permit()
                if self._setpoints.in_doubt:
                    self._conditions.wait_for_life()
            except PermitLostError:
                raise
            except EngineError:
                if self._engine.clock.now() >= self._deadline:
                    raise
                self._engine.clock.sleep(REVERIFY_POLL_S)
            else:
                return

    def _watch(self) -> bool:
        """See what late puts do for a while; whether every setpoint stayed where it was.

        Raises:
            StaleReadingError: the IOC stood still meanwhile.
        """
        pvs = self._setpoints.pvs
        first = self._read(pvs)
        end = self._engine.clock.now() + REVERIFY_S
        while self._engine.clock.now() < end:
            self._engine.clock.sleep(REVERIFY_POLL_S)
            self._conditions.check_heartbeat()
            if any(r.value != first[pv].value for pv, r in self._read(list(first)).items()):
                first, end = self._read(pvs), self._engine.clock.now() + REVERIFY_S
                has_moved = True
        return True

    def _bring_back(self) -> None:
        """Step all knobs that are ours towards the snapshot until they are there or have failed."""
        longest = max(k.hi - k.lo for k in self._setpoints.knobs) / min(k.step for k in self._setpoints.knobs)
        for _ in range(math.ceil(longest) + 2):
            readings = self._read([pv for pv in self._setpoints.pvs if pv not in self._failed])
            step, present = {}, {}
            for knob in self._setpoints.knobs:
                pv, goal = knob.setpoint, self._goal[knob.setpoint]
                held = readings[pv].number if pv in readings else math.nan
                if self._setpoints.is_ours(pv, held) and not is_same(held, goal):
                    step[pv], present[pv] = towards(held, goal, knob.step), held
            if not step:
                return
            self._conditions.check_permit()
            self._put(step, present)

    def _put(self, values: Mapping[str, float], present: Mapping[str, float]) -> None:
        """Put as a group; where one member holds all others up, one by one.

        Raises:
            WriteFailedError: an outcome is unknown; nothing more is written before the IOC has been watched.
        """
        results = dict(self._setpoints.put(values, present))
        if len(values) > 1 and all(r.outcome is Outcome.BLOCKED for r in results.values()):
            for pv, value in values.items():
                results |= self._setpoints.put({pv: value}, present)
        failed = {pv: _told(pv, r) for pv, r in results.items() if r.outcome is not Outcome.OK}
        self._failed |= failed
        unknown = [failed[pv] for pv, r in results.items() if r.outcome is Outcome.UNKNOWN]
        if unknown:
            raise WriteFailedError("; ".join(unknown))
