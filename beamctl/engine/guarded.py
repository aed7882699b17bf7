"""The only path from a proposal to a put: arming, limits, verification, restore.

Wraps any engine. Everything is checked for all knobs before the first put of a step, in machine units, as
``isfinite(v) and lo <= v <= hi``; nothing is written while permit, beam, heartbeat or readings are in doubt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Outcome, Reading
from beamctl.engine.conditions import Conditions, state
from beamctl.engine.journal import Journal
from beamctl.engine.layout import Knob, SectionLayout
from beamctl.engine.reader import ChannelReader, Measurement
from beamctl.engine.restore import Restorer, RestoreReport, described
from beamctl.engine.setpoints import OwnedSetpoints, check, is_same, narrowed, towards, within_travel
from beamctl.errors import (
    EngineError,
    ForeignWriteError,
    ReadbackMismatchError,
    RunAbortedError,
    SetpointLimitError,
    StaleReadingError,
    WriteFailedError,
)

Array = NDArray[np.float64]

FOLLOW_S = 2.0
"""how long a readback may take to arrive at its setpoint after the put has completed and the field has settled"""
FOLLOW_POLL_S = 0.2


@dataclass(frozen=True)
class Snapshot:
    """What was found before the first put.

    Attributes:
        setpoint_a, readback_a: shape (k,), read-only.
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
        journal: where every put is written down before it is sent.
        gate: asked before every put, restore included; raises where none may be sent.

    Attributes:
        reader: measures.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        should_stop: Callable[[], bool] = lambda: False,
        journal: Journal | None = None,
        gate: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._layout = layout
        self._should_stop = should_stop
        self._journal = journal
        self._gate = gate
        self._armed: tuple[Snapshot, OwnedSetpoints] | None = None
        self._conditions = Conditions(engine, layout)
        self.reader = ChannelReader(engine, layout, self._conditions)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The knobs with the limits in force (after arming: narrowed by the IOC's)."""
        return self._layout.knobs if self._armed is None else self._armed[1].knobs

    @property
    def snapshot(self) -> Snapshot:
        """What arming found."""
        return self._arming[0]

    @property
    def setpoint_a(self) -> Array:
        """Where the knobs are, as far as this run has found or moved them, A, shape (k,); no network traffic."""
        return np.array(self._setpoints.expected)

    @property
    def writes(self) -> int:
        """Puts sent so far."""
        return 0 if self._armed is None else self._armed[1].writes

    @property
    def _arming(self) -> tuple[Snapshot, OwnedSetpoints]:
        if self._armed is None:
            raise EngineError("not armed")
        return self._armed

    @property
    def _setpoints(self) -> OwnedSetpoints:
        return self._arming[1]

    def arm(self, timeout_s: float = 10.0) -> Snapshot:
        """Connect, check every condition, remember what was found; writes nothing.

        Raises:
            ChannelConnectionError: names every PV that is not there.
            StaleReadingError: heartbeat or readings stand still or are INVALID.
            PermitLostError: wrong machine, no permit, no beam.
            SetpointLimitError: a setpoint without limits, read-only, or outside its limits.
            ReadbackMismatchError: a supply that does not follow.

        With several faults the first one's type is raised; the message names them all.
        """
        self._engine.start(self._layout.all_pvs, timeout_s)
        self._conditions.wait_for_life()
        identity, current, faults = self._conditions.inspect()
        knobs, unusable = narrowed(self._layout.knobs, self._engine.meta([k.setpoint for k in self._layout.knobs]))
        if unusable:
            faults.append(SetpointLimitError("; ".join(unusable)))
        fresh = self._conditions.fresh([pv for k in knobs for pv in (k.setpoint, k.readback)])
        faults += _faults_at_start(knobs, fresh)
        if faults:
            raise type(faults[0])("cannot arm, nothing written: " + "; ".join(map(str, faults)))
        snapshot = Snapshot(
            _read_only([fresh[k.setpoint].number for k in knobs]),
            _read_only([fresh[k.readback].number for k in knobs]),
            identity,
            current,
        )
        kept = within_travel(knobs, [float(v) for v in snapshot.setpoint_a])
        owned = OwnedSetpoints(self._engine, kept, snapshot.setpoint_a, self._journal, self._gate)
        self._armed = snapshot, owned
        return snapshot

    def check(self, setpoints: Array, present: Array) -> None:
        """Refuse setpoints that must not be written; all knobs are looked at.

        Raises:
            SetpointLimitError: lists every offending knob with old value, new value, limits and step.
        """
        shape = (len(self.knobs),)
        if np.shape(setpoints) != shape or np.asarray(setpoints).dtype.kind not in "fiu":
            raise SetpointLimitError(f"nothing written: {shape[0]} setpoints in A expected, got {setpoints!r:.200}")
        check(self.knobs, [float(v) for v in setpoints], [float(v) for v in present])

    def check_fit(self) -> dict[str, Reading]:
        """Heartbeat, identity, permit, beam, setpoints, readbacks and instruments: may the run go on?

        Returns:
            fresh setpoints and recent readbacks, all valid.

        Raises:
            EngineError: as :meth:`move`.
        """
        self.reader.check_fresh()
        readbacks = self._conditions.scanned([k.readback for k in self.knobs])
        return _all_valid(readbacks | self._conditions.check_beam(self._setpoints.pvs))

    def measure(self) -> Measurement:
        """Read the instruments; errors as :meth:`ChannelReader.measure`, and ForeignWriteError as :meth:`move`."""
        measured = self.reader.measure()
        latest = self._engine.latest(self._setpoints.pvs)
        if not all(self._setpoints.is_ours(pv, r.number) for pv, r in latest.items()):
            self.present_setpoints()  # what was published may lag behind
        return measured

    def readbacks(self) -> Array:
        """Last update of every readback, A, shape (k,); no network traffic."""
        pvs = [k.readback for k in self.knobs]
        latest = self._engine.latest(pvs)
        return np.array([latest[pv].number for pv in pvs])

    def move(self, setpoints: Array) -> None:
        """Write all setpoints, wait for the ramps, let the field settle, verify readbacks.

        Whether anything was sent before an error shows in :attr:`writes`; calling again with the same setpoints
        then sends nothing more and verifies again.

        Args:
            setpoints: A, shape (k,).

        Raises:
            SetpointLimitError: refused here, nothing was sent.
            PermitLostError: no permit, no beam, or another machine; nothing was sent.
            StaleReadingError: something stands still or is INVALID; nothing was sent, or it could not be verified.
            ForeignWriteError: someone else moved a knob.
            WriteFailedError: a put was refused, altered, or its outcome is unknown.
            JournalError: the put could not be written down; nothing was sent.
            HaltedError: nothing may be written any more.
            ReadbackMismatchError: a supply does not follow.
            RunAbortedError: ``should_stop``; nothing was sent.
        """
        readings = self.check_fit()
        present = self._present(readings)
        self.check(setpoints, present)
        if _off(self.knobs, present, readings):
            self._verify(present)
        if self._should_stop():
            raise RunAbortedError("aborted before the put; nothing of this step was written")
        changed = [
            (k.setpoint, float(new), float(old))
            for k, new, old in zip(self.knobs, setpoints, present, strict=True)
            if not is_same(new, old)
        ]
        if changed:
            self._put({pv: new for pv, new, _ in changed}, {pv: old for pv, _, old in changed})
        self._verify(setpoints)

    def approach(self, goal: Array) -> None:
        """Go to setpoints that may be further away than one step, in steps; errors as :meth:`move`."""
        steps = np.array([k.step for k in self.knobs])
        present = self.present_setpoints()
        for _ in range(int(np.ceil(np.max(np.abs(goal - present) / steps))) + 1):
            if all(map(is_same, goal, present)):
                return
            self.move(np.array([towards(*way) for way in zip(present, goal, steps, strict=True)]))
            present = self.present_setpoints()

    def present_setpoints(self) -> Array:
        """What the IOC holds now, network read, A, shape (k,).

        Raises:
            ForeignWriteError: a setpoint is none that this run has found or written: someone else moved it.
            StaleReadingError: INVALID, or no answer.
        """
        return self._present(_all_valid(self._conditions.fresh(self._setpoints.pvs)))

    def _present(self, readings: dict[str, Reading]) -> Array:
        """The setpoints among valid readings; errors as :meth:`present_setpoints`."""
        values = {pv: readings[pv].number for pv in self._setpoints.pvs}
        foreign = [f"{pv} is at {v:.4g} A" for pv, v in values.items() if not self._setpoints.is_ours(pv, v)]
        if foreign:
            raise ForeignWriteError(f"someone else moved: {'; '.join(foreign)}; nothing written")
        return np.array(list(values.values()))

    def foreign(self) -> dict[str, float]:
        """Setpoints that somebody else has moved, with what they hold, A; network read.

        Raises:
            StaleReadingError: INVALID, or no answer.
            WriteFailedError: a put of ours may still be applied; what is there now need not stay.
        """
        if self._setpoints.in_doubt:
            raise WriteFailedError(f"the outcome of a put is unknown: {', '.join(self._setpoints.in_doubt)}")
        readings = _all_valid(self._conditions.fresh(self._setpoints.pvs))
        return {pv: r.number for pv, r in readings.items() if not self._setpoints.is_ours(pv, r.number)}

    def take_over(self, values: dict[str, float]) -> None:
        """What somebody else has set, A, is from now on what this run has found there, and would restore."""
        snapshot, setpoints = self._arming
        for pv, value in values.items():
            setpoints.adopt(pv, value)
        goal = zip(setpoints.pvs, snapshot.setpoint_a, strict=True)
        self._armed = replace(snapshot, setpoint_a=_read_only([values.get(pv, v) for pv, v in goal])), setpoints

    def restore(self) -> RestoreReport:
        """Bring every knob of ours back to the snapshot, in steps, verified; what someone else moved stays.

        Never raises: what cannot be restored, and why, is in the report. See :mod:`beamctl.engine.restore`.
        """
        snapshot, setpoints = self._arming
        return Restorer(self._engine, setpoints, snapshot.setpoint_a, self._conditions).run()

    def _put(self, values: dict[str, float], present: dict[str, float]) -> None:
        self.reader.note_move()
        results = self._setpoints.put(values, present)
        failed = [described(pv, r) for pv, r in results.items() if r.outcome is not Outcome.OK]
        altered = {pv: r.held for pv, r in results.items() if r.outcome is Outcome.ALTERED}
        if any(not self._setpoints.is_ours(pv, held) for pv, held in altered.items()):
            raise ForeignWriteError(f"someone else moved a knob while it was written: {'; '.join(failed)}")
        done = {pv: r.held for pv, r in results.items() if r.outcome is Outcome.OK}
        replaced = [pv for pv, held in done.items() if not self._setpoints.is_ours(pv, held)]
        if replaced:
            told = self._setpoints.told(replaced)
            raise ForeignWriteError(f"someone else moved, at the same moment, {told}; our put has replaced that")
        if failed:
            raise WriteFailedError("; ".join(failed))

    def _verify(self, setpoints: Array) -> None:
        """Let the field settle, then see every readback at its setpoint.

        Raises:
            StaleReadingError: one is INVALID, or its record is not scanned any more.
            ForeignWriteError: someone else has moved the setpoint since.
            ReadbackMismatchError: one is elsewhere.
        """
        clock, pvs = self._engine.clock, [k.readback for k in self.knobs]
        before, since = self._engine.latest(pvs), clock.now()
        clock.sleep(self._layout.settle_s)
        readings = self._engine.latest(pvs)
        if all(r.received > since for r in readings.values()) and not _off(self.knobs, setpoints, readings):
            return  # published since the end of the put: no need to ask
        deadline = clock.now() + FOLLOW_S
        while True:
            readings = self._conditions.fresh(pvs)
            off = _off(self.knobs, setpoints, readings)
            if not off:
                return
            if clock.now() >= deadline:
                break
            clock.sleep(FOLLOW_POLL_S)
        self.present_setpoints()  # a supply that follows somebody else does not follow us
        silent = [pv for pv in off if not readings[pv].is_valid or readings[pv].stamp == before[pv].stamp]
        if silent:
            raise StaleReadingError("not verified: " + "; ".join(off[pv] for pv in silent))
        raise ReadbackMismatchError("; ".join(off.values()))


def _all_valid(readings: dict[str, Reading]) -> dict[str, Reading]:
    bad = [f"{pv} is {state(r)}" for pv, r in readings.items() if not r.is_valid]
    if bad:
        raise StaleReadingError(f"nothing written: {'; '.join(bad)}")
    return readings


def _off(knobs: tuple[Knob, ...] | list[Knob], setpoints: Array, readings: dict[str, Reading]) -> dict[str, str]:
    """Readbacks that are not at their setpoint, for people."""
    return {
        k.readback: f"{k.readback} reads {state(readings[k.readback])} A, set {wanted:.3f} +- {k.tolerance:g} A"
        for k, wanted in zip(knobs, setpoints, strict=True)
        if not (readings[k.readback].is_valid and abs(readings[k.readback].number - wanted) <= k.tolerance)
    }


def _faults_at_start(knobs: list[Knob], fresh: dict[str, Reading]) -> list[EngineError]:
    """What is wrong with setpoints and readbacks before the first put."""
    faults = knob_faults(knobs, fresh)
    followers = [k for k in knobs if fresh[k.setpoint].is_valid and fresh[k.readback].is_valid]
    off = _off(followers, np.array([fresh[k.setpoint].number for k in followers]), fresh)
    return [*faults, ReadbackMismatchError("; ".join(off.values()))] if off else faults


def knob_faults(knobs: Sequence[Knob], readings: Mapping[str, Reading]) -> list[EngineError]:
    """Knobs that cannot be read or are outside their limits, whether they move or not.

    Args:
        knobs: with their limits.
        readings: of their setpoints and readbacks; what is not among them is not judged.
    """
    own = {pv: readings[pv] for k in knobs for pv in (k.setpoint, k.readback) if pv in readings}
    invalid = [f"{pv} is {state(r)}" for pv, r in own.items() if not r.is_valid]
    faults: list[EngineError] = [StaleReadingError("; ".join(invalid))] if invalid else []
    good = [k for k in knobs if k.setpoint in own and own[k.setpoint].is_valid]
    values = [own[k.setpoint].number for k in good]
    try:
        check(good, values, values)
    except SetpointLimitError as error:
        faults.append(error)
    return faults


def _read_only(values: list[float]) -> Array:
    array = np.array(values)
    array.setflags(write=False)
    return array
