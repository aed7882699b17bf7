"""The setpoints of one run and the one door to them: limits, steps, and who moved what.

Every put of a run, restore included, passes through :meth:`OwnedSetpoints.put`. Before it sends anything it notes
what it is about to do, so that an exception, a time-out or a signal at any instant leaves the truth behind: the
setpoint may then hold the old value or the new one, and either is ours.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Meta, Outcome, WriteResult
from beamctl.engine.journal import Journal, NoJournal
from beamctl.engine.layout import Knob
from beamctl.errors import JournalError, SetpointLimitError

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)

STEP_SLACK = 1e-6
"""relative slack of the step check, for rounding only"""
SAME_A = 1e-4
"""two setpoints closer than this, A, are the same: far above the rounding of a 32 bit field, far below any supply"""
LOOK_BACK = 200
"""updates of one PV that are looked at, of the 256 that engines keep"""
WRITE_TIMEOUT_S = 15.0
"""twice the longest ramp of one step (15 A at 2 A/s)"""


@dataclass
class _Record:
    """What is known of one setpoint, A.

    Attributes:
        expected: what the IOC holds, unless somebody else has written.
        pending: asked for, outcome not known; may be applied at any time.
        known: held at some time because of us; whoever finds one of these finds our own work.
        past: expected at some time; an update that comes late may still show it.
        seen: number of the last update that has been looked at; None before the first put.
        touched: whether this run has sent a put.
    """

    expected: float
    pending: set[float] = field(default_factory=set)
    known: set[float] = field(default_factory=set)
    past: set[float] = field(default_factory=set)
    seen: int | None = None
    touched: bool = False


class OwnedSetpoints:
    """The knobs of one run.

    Args:
        engine: the machine.
        knobs: with the limits in force.
        found: what the IOC holds at the start, A, shape (k,).
        journal: where every put is written down before it is sent.
        gate: asked before every put; raises where none may be sent.

    Attributes:
        writes: puts sent so far.
    """

    def __init__(
        self,
        engine: Engine,
        knobs: Sequence[Knob],
        found: Array,
        journal: Journal | None = None,
        gate: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._journal = journal or NoJournal()
        self._gate = gate
        self.knobs = tuple(knobs)
        self.writes = 0
        self._by_pv = {k.setpoint: k for k in knobs}
        self._records = {k.setpoint: _Record(float(v)) for k, v in zip(knobs, found, strict=True)}

    @property
    def pvs(self) -> list[str]:
        """Setpoint PVs in the order of the knobs."""
        return list(self._by_pv)

    @property
    def expected(self) -> list[float]:
        """What the IOC holds unless somebody else has written, A, in the order of the knobs."""
        return [record.expected for record in self._records.values()]

    @property
    def in_doubt(self) -> list[str]:
        """Setpoints with a put of which nobody knows whether it was or will be applied."""
        return [pv for pv, record in self._records.items() if record.pending]

    def is_touched(self, pv: str) -> bool:
        """Whether this run has sent a put to it."""
        return self._records[pv].touched

    def is_ours(self, pv: str, held: float) -> bool:
        """Whether a value can be there without anybody else having written it; never for NaN."""
        record = self._records[pv]
        return any(is_same(held, value) for value in (record.expected, *record.pending, *record.known))

    def told(self, pvs: Iterable[str]) -> str:
        """What is expected of setpoints, for people."""
        return ", ".join(f"{pv} to {self._records[pv].expected:.4g} A" for pv in pvs)

    def expect(self, pv: str, values: Iterable[float]) -> None:
        """Values that a setpoint may hold because an earlier process has meant to write them, A."""
        self._records[pv].pending.update(values)
        self._records[pv].touched = True

    def know(self, pv: str, values: Iterable[float]) -> None:
        """Values that an earlier process is known to have written, A; none of them is on its way any more."""
        self._records[pv].known.update(values)
        self._records[pv].touched = True

    def adopt(self, pv: str, value: float) -> None:
        """What somebody else has written, A, is where this run finds the setpoint from now on."""
        self._records[pv] = _Record(value)

    def note_landed(self, held: Mapping[str, float]) -> None:
        """A put that was in doubt and shows in its setpoint has been applied: nothing of it is on its way any more."""
        for pv, value in held.items():
            record = self._records[pv]
            if len(record.pending) == 1 and is_same(value, *record.pending):
                record.known |= record.pending
                record.pending.clear()

    def put(
        self, values: Mapping[str, float], present: Mapping[str, float], *, is_restore: bool = False
    ) -> dict[str, WriteResult]:
        """Check all, write all down, send all.

        Args:
            values: what to write, A.
            present: what the IOC holds now, A.
            is_restore: towards the snapshot, which was made durable when it was taken: a journal that fails now must
                not keep the machine from being restored.

        Raises:
            SetpointLimitError: a value that must not be written; nothing was sent.
            JournalError: it could not be written down; nothing was sent.
            HaltedError: nothing may be written any more.
        """
        self._gate()
        if not is_restore:
            self._look(values)
        check([self._by_pv[pv] for pv in values], list(values.values()), [present[pv] for pv in values])
        if not values:
            return {}
        try:
            self._journal.intend({pv: present[pv] for pv in values}, values)
        except JournalError:
            if not is_restore:
                raise
            _log.exception("a step of the restore could not be written down; restoring goes first")
        before = {pv: replace(self._records[pv], pending=set(self._records[pv].pending)) for pv in values}
        since = {pv: reading.seq for pv, reading in self._engine.latest(list(values)).items()}
        self._gate()  # the last thing before sending: who halts while this is being written down does not want it sent
        self.writes += len(values)
        for pv, value in values.items():
            self._records[pv].pending.add(value)
            self._records[pv].touched = True
        results = dict(self._engine.write(values, WRITE_TIMEOUT_S))
        for pv, result in results.items():
            if result.outcome is Outcome.ALTERED and is_same(result.asked, result.held):
                results[pv] = replace(result, outcome=Outcome.OK)  # rounded to what the field can hold
            self._settle(pv, results[pv], before[pv], since[pv])
        self._journal.settle(results)
        if not is_restore:  # which has to come to its end, whoever writes meanwhile
            self._look_back({pv: result for pv, result in results.items() if result.outcome is Outcome.OK})
        return results

    def _settle(self, pv: str, result: WriteResult, before: _Record, since: int) -> None:
        """Note what became of a put."""
        if result.outcome is Outcome.UNKNOWN:
            return
        record = self._records[pv]
        record.pending = before.pending
        if result.outcome is Outcome.BLOCKED:
            record.touched = before.touched
            self.writes -= 1
        elif result.outcome is Outcome.OK:
            record.past.add(record.expected)
            record.expected = result.held
        elif result.outcome is Outcome.ALTERED:
            record.expected = result.asked if self._was_overwritten(pv, result.asked, since) else result.held

    def _look(self, pvs: Iterable[str]) -> None:
        """Remember where the updates stand, before the first put."""
        new = [pv for pv in pvs if self._records[pv].seen is None]
        if new:
            for pv, reading in self._engine.latest(new).items():
                self._records[pv].seen = reading.seq

    def _look_back(self, done: Mapping[str, WriteResult]) -> None:
        """Where our put has replaced what somebody else had put, theirs is what is expected."""
        for pv, result in done.items():
            theirs = self._theirs(pv, result)
            if theirs is not None:
                self._records[pv].expected = theirs

    def _theirs(self, pv: str, result: WriteResult) -> float | None:
        """What somebody else has put since our last put, and ours has replaced, A; None: nothing.

        A setpoint is read before a put, but not at the very moment of it: only the updates tell what came in between.
        """
        record = self._records[pv]
        last = self._engine.latest([pv])[pv].seq
        since = max(last if record.seen is None else record.seen, last - LOOK_BACK)
        record.seen = last
        if last <= since:
            return None
        ours = (record.expected, result.asked, result.held, *record.pending, *record.known, *record.past)
        for update in self._engine.wait([pv], {pv: since}, last - since, 0.0)[pv]:
            if update.is_valid and not any(is_same(update.number, value) for value in ours):
                return update.number
        return None

    def _was_overwritten(self, pv: str, asked: float, since: int) -> bool:
        """Whether the IOC took our value first and holds another now: then somebody else has written meanwhile."""
        last = self._engine.latest([pv])[pv].seq
        if last <= since:
            return False
        updates = self._engine.wait([pv], {pv: since}, last - since, 0.0)[pv]
        return any(is_same(update.number, asked) for update in updates)


def is_same(a: float, b: float) -> bool:
    """Whether two setpoints, A, are the same; never for NaN."""
    return abs(a - b) <= SAME_A


def towards(held: float, target: float, step: float) -> float:
    """The next setpoint on the way from ``held`` to ``target``, at most ``step`` away, A."""
    return target if abs(target - held) <= step else held + math.copysign(step, target - held)


def check(knobs: Sequence[Knob], new: Sequence[float], present: Sequence[float]) -> None:
    """Refuse setpoints that must not be written; all knobs are looked at.

    Raises:
        SetpointLimitError: lists every offending knob with old value, new value, limits and step.
    """
    faults = []
    for knob, value, old in zip(knobs, new, present, strict=True):
        if not (math.isfinite(value) and knob.lo <= value <= knob.hi):
            faults.append(f"{knob.setpoint}: {value:.4g} A is outside [{knob.lo:g}, {knob.hi:g}] A (now {old:.4g} A)")
        elif not abs(value - old) <= knob.step * (1 + STEP_SLACK):
            faults.append(f"{knob.setpoint}: {old:.4g} -> {value:.4g} A is more than the step limit {knob.step:g} A")
    if faults:
        raise SetpointLimitError("nothing written: " + "; ".join(faults))


def within_travel(knobs: Sequence[Knob], found: Sequence[float]) -> list[Knob]:
    """The knobs with limits that also keep them near where they were found, A."""
    return [
        replace(knob, lo=max(knob.lo, at - knob.travel), hi=min(knob.hi, at + knob.travel))
        for knob, at in zip(knobs, found, strict=True)
    ]


def narrowed(knobs: Sequence[Knob], meta: Mapping[str, Meta]) -> tuple[list[Knob], list[str]]:
    """The knobs with the IOC's limits applied, and what forbids writing them."""
    faults, result = [], []
    for knob in knobs:
        m = meta[knob.setpoint]
        if not m.writable:
            faults.append(f"{knob.setpoint} is read-only for us")
        elif not m.has_limits:
            faults.append(f"{knob.setpoint} has no limits on the IOC (DRVL {m.lo:g}, DRVH {m.hi:g}): set them there")
        result.append(replace(knob, lo=max(knob.lo, m.lo), hi=min(knob.hi, m.hi)) if m.has_limits else knob)
    return result, faults
