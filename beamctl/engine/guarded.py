"""The only path from a proposal to a put: arming, limits, verification, restore.

Wraps any engine. Everything is checked for all knobs before the first put of a step, in machine units, as
``isfinite(v) and lo <= v <= hi``; nothing is written while permit, beam, heartbeat or readings are in doubt.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Outcome, Reading
from beamctl.engine.conditions import Conditions
from beamctl.engine.layout import Knob, SectionLayout
from beamctl.engine.orbit_reader import OrbitReader
from beamctl.errors import (
    EngineError,
    ReadbackMismatchError,
    RunAbortedError,
    SetpointLimitError,
    StaleReadingError,
    WriteFailedError,
)

Array = NDArray[np.float64]

STEP_SLACK = 1e-6
"""relative slack of the step check, for rounding only"""
SAME_A = 1e-6
"""two setpoints closer than this, A, are the same"""
READBACK_TRIES = 3
WRITE_TIMEOUT_S = 30.0


class RestoreOutcome(StrEnum):
    """What became of one knob when the snapshot was restored."""

    UNTOUCHED = "untouched"
    RESTORED = "restored"
    FOREIGN = "left alone: changed by someone else"
    FAILED = "NOT restored"


@dataclass(frozen=True)
class RestoreLine:
    """One line of the restore report, A."""

    name: str
    setpoint_pv: str
    snapshot: float
    held: float
    readback: float
    outcome: RestoreOutcome
    message: str = ""


@dataclass(frozen=True)
class Snapshot:
    """What was found before the first put.

    Attributes:
        setpoint_a, readback_a: shape (k,).
        identity: what the machine calls itself.
        current_ma: beam current upstream.
    """

    setpoint_a: Array
    readback_a: Array
    identity: str
    current_ma: float


class GuardedSection:
    """Guard of one section for one run.

    Args:
        engine: the machine.
        layout: PVs, limits, conditions.
        should_stop: asked before every put of :meth:`move`; the restore does not ask.
    """

    def __init__(self, engine: Engine, layout: SectionLayout, should_stop: Callable[[], bool] = lambda: False) -> None:
        self._engine = engine
        self._layout = layout
        self._should_stop = should_stop
        self._knobs: tuple[Knob, ...] = layout.knobs
        self._snapshot: Snapshot | None = None
        self._ours: dict[str, set[float]] = {}
        self._conditions = Conditions(engine, layout)
        self.reader = OrbitReader(engine, layout, self._conditions)
        self.writes = 0

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The knobs with the limits in force (after arming: narrowed by the IOC's)."""
        return self._knobs

    @property
    def snapshot(self) -> Snapshot:
        """What arming found."""
        if self._snapshot is None:
            raise EngineError("not armed")
        return self._snapshot

    def arm(self, timeout_s: float = 10.0) -> Snapshot:
        """Connect, check every condition, remember what was found; writes nothing.

        Raises:
            ChannelConnectionError: PVs that are not there.
            PermitLostError: wrong machine, no permit, no beam.
            SetpointLimitError: a setpoint without limits, read-only, or outside its limits.
            ReadbackMismatchError: a supply that does not follow.
            StaleReadingError: heartbeat or readings stand still or are INVALID.
        """
        self._engine.start(self._layout.all_pvs, timeout_s)
        self._conditions.wait_for_life()
        identity = self._conditions.check_identity()
        self._conditions.check_beam()
        self._knobs = tuple(self._with_ioc_limits())
        fresh = self._engine.read([pv for k in self._knobs for pv in (k.setpoint, k.readback)])
        setpoints = np.array([fresh[k.setpoint].number for k in self._knobs])
        readbacks = np.array([fresh[k.readback].number for k in self._knobs])
        self._check_start(fresh, setpoints, readbacks)
        current = self._engine.latest([self._layout.current])[self._layout.current].number
        self._snapshot = Snapshot(setpoints, readbacks, identity, current)
        self._ours = {k.setpoint: {float(v)} for k, v in zip(self._knobs, setpoints, strict=True)}
        return self._snapshot

    def check(self, setpoints: Array, present: Array) -> None:
        """Refuse setpoints that must not be written; all knobs are looked at.

        Raises:
            SetpointLimitError: lists every offending knob with old value, new value, limits and step.
        """
        faults = []
        for knob, new, old in zip(self._knobs, setpoints, present, strict=True):
            if not (math.isfinite(new) and knob.lo <= new <= knob.hi):
                faults.append(f"{knob.setpoint}: {new:.4g} A is outside [{knob.lo:g}, {knob.hi:g}] A (now {old:.4g} A)")
            elif not abs(new - old) <= knob.step * (1 + STEP_SLACK):
                faults.append(f"{knob.setpoint}: {old:.4g} -> {new:.4g} A is more than the step limit {knob.step:g} A")
        if faults:
            raise SetpointLimitError("nothing written: " + "; ".join(faults))

    def move(self, setpoints: Array) -> None:
        """Write all setpoints, wait for the ramps, verify readbacks, let the field settle.

        Args:
            setpoints: A, shape (k,).

        Raises:
            SetpointLimitError: refused here, nothing was sent.
            PermitLostError, StaleReadingError: the machine is not fit to be moved, nothing was sent.
            WriteFailedError: someone else moved a knob, or a put was refused, altered, or its outcome is unknown.
            ReadbackMismatchError: a supply does not follow.
        """
        present = self.present_setpoints()
        self.check(setpoints, present)
        self._conditions.check_beam()
        if self._should_stop():
            raise RunAbortedError("aborted before the put; nothing of this step was written")
        changed = {
            k.setpoint: float(new)
            for k, new, old in zip(self._knobs, setpoints, present, strict=True)
            if abs(new - old) > SAME_A
        }
        self._put(changed)
        self._verify_readbacks(setpoints)
        self._engine.clock.sleep(self._layout.settle_s)

    def approach(self, goal: Array) -> None:
        """Go to setpoints that may be further away than one step, in steps; errors as :meth:`move`."""
        while True:
            present = self.present_setpoints()
            reach = np.array([k.step for k in self._knobs])
            if np.all(np.abs(goal - present) <= SAME_A):
                return
            self.move(np.where(np.abs(goal - present) <= reach, goal, present + np.clip(goal - present, -reach, reach)))

    def present_setpoints(self) -> Array:
        """What the IOC holds now, network read, A, shape (k,).

        Raises:
            WriteFailedError: a setpoint is none that this run has seen or written: someone else moved it.
        """
        fresh = self._engine.read([k.setpoint for k in self._knobs])
        foreign = [
            f"{k.setpoint} is at {fresh[k.setpoint].number:.4g} A"
            for k in self._knobs
            if not self._is_ours(k.setpoint, fresh[k.setpoint].number)
        ]
        if foreign:
            raise WriteFailedError(f"someone else moved: {'; '.join(foreign)}; nothing written")
        return np.array([fresh[k.setpoint].number for k in self._knobs])

    def restore(self) -> list[RestoreLine]:
        """Bring every knob of ours back to the snapshot, in steps, verified; what someone else moved stays.

        Never raises for a knob that cannot be restored: its line says so. Writes nothing without permit.
        """
        snapshot = self.snapshot
        problem = ""
        try:
            self._restore_ours(snapshot.setpoint_a)
        except EngineError as error:
            problem = str(error)
        return [self._restore_line(k, float(v), problem) for k, v in zip(self._knobs, snapshot.setpoint_a, strict=True)]

    def _restore_ours(self, goal: Array) -> None:
        while True:
            fresh = self._engine.read([k.setpoint for k in self._knobs])
            step = {}
            for knob, target in zip(self._knobs, goal, strict=True):
                held = fresh[knob.setpoint].number
                if self._is_ours(knob.setpoint, held) and abs(held - target) > SAME_A:
                    reach = float(np.clip(target - held, -knob.step, knob.step))
                    step[knob.setpoint] = float(target) if abs(target - held) <= knob.step else held + reach
            if not step:
                return
            self._conditions.check_permit_and_heartbeat()
            self._put(step)

    def _restore_line(self, knob: Knob, snapshot: float, problem: str) -> RestoreLine:
        try:
            fresh = self._engine.read([knob.setpoint, knob.readback])
            held, readback = fresh[knob.setpoint].number, fresh[knob.readback].number
        except EngineError as error:
            return RestoreLine(
                knob.name,
                knob.setpoint,
                snapshot,
                math.nan,
                math.nan,
                RestoreOutcome.FAILED,
                problem or str(error),
            )
        touched = len(self._ours[knob.setpoint]) > 1
        if not self._is_ours(knob.setpoint, held):
            outcome, message = RestoreOutcome.FOREIGN, ""
        elif abs(held - snapshot) > SAME_A:
            outcome, message = RestoreOutcome.FAILED, problem
        elif not abs(readback - held) <= knob.tolerance:
            outcome, message = RestoreOutcome.FAILED, f"readback differs by {readback - held:+.2f} A"
        else:
            outcome, message = (RestoreOutcome.RESTORED if touched else RestoreOutcome.UNTOUCHED), ""
        return RestoreLine(knob.name, knob.setpoint, snapshot, held, readback, outcome, message)

    def _put(self, values: dict[str, float]) -> None:
        if not values:
            return
        for pv, value in values.items():
            self._ours[pv].add(value)
        results = self._engine.write(values, WRITE_TIMEOUT_S)
        self.writes += sum(r.outcome is not Outcome.BLOCKED for r in results.values())
        failed = [
            f"{pv}: asked {r.asked:.4g} A, {r.outcome.value}, holds {r.held:.4g} A {r.message}".rstrip()
            for pv, r in results.items()
            if r.outcome is not Outcome.OK
        ]
        for pv, result in results.items():
            if math.isfinite(result.held) and result.outcome is Outcome.ALTERED:
                self._ours[pv].add(result.held)
        if failed:
            raise WriteFailedError("; ".join(failed))

    def _verify_readbacks(self, setpoints: Array) -> None:
        off: list[str] = []
        for _ in range(READBACK_TRIES):
            since = {k.readback: r.seq for k, r in self._latest_readbacks()}
            got = self._engine.wait([k.readback for k in self._knobs], since, 1, self._layout.heartbeat_max_age_s)
            off = []
            for knob, wanted in zip(self._knobs, setpoints, strict=True):
                reading = got[knob.readback][0]
                if not (reading.is_valid and abs(reading.number - wanted) <= knob.tolerance):
                    off.append(
                        f"{knob.readback} reads {reading.number:.3f} A ({reading.severity.name}), "
                        f"set {wanted:.3f} +- {knob.tolerance:g} A"
                    )
            if not off:
                return
        raise ReadbackMismatchError("; ".join(off))

    def _latest_readbacks(self) -> list[tuple[Knob, Reading]]:
        latest = self._engine.latest([k.readback for k in self._knobs])
        return [(k, latest[k.readback]) for k in self._knobs]

    def _with_ioc_limits(self) -> Sequence[Knob]:
        meta = self._engine.meta([k.setpoint for k in self._layout.knobs])
        faults, knobs = [], []
        for knob in self._layout.knobs:
            m = meta[knob.setpoint]
            if not m.writable:
                faults.append(f"{knob.setpoint} is read-only for us")
            elif not m.has_limits:
                faults.append(f"{knob.setpoint} has no limits on the IOC (DRVL {m.lo:g}, DRVH {m.hi:g})")
            knobs.append(replace(knob, lo=max(knob.lo, m.lo), hi=min(knob.hi, m.hi)) if m.has_limits else knob)
        if faults:
            raise SetpointLimitError("cannot arm: " + "; ".join(faults))
        return knobs

    def _check_start(self, fresh: dict[str, Reading], setpoints: Array, readbacks: Array) -> None:
        invalid = [pv for pv, r in fresh.items() if not r.is_valid]
        if invalid:
            raise StaleReadingError(f"cannot arm: INVALID or not finite: {', '.join(invalid)}")
        self.check(setpoints, setpoints)
        off = [
            f"{k.readback} reads {r:.3f} A, set {s:.3f} +- {k.tolerance:g} A"
            for k, s, r in zip(self._knobs, setpoints, readbacks, strict=True)
            if not abs(r - s) <= k.tolerance
        ]
        if off:
            raise ReadbackMismatchError("cannot arm: " + "; ".join(off))

    def _is_ours(self, pv: str, held: float) -> bool:
        return any(abs(held - value) <= SAME_A for value in self._ours[pv])
