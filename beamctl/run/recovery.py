"""After a restart: what a run that nobody finished has left behind is found, and brought back.

For ten seconds every setpoint is watched, since a put of the dead process may still be applied, and again after the
restore where one has not shown up. Equal to the snapshot: fine; equal to what that run meant to write: ours, and
restored in steps if permit and identity are right; anything else: somebody's own and left alone. No run is ever
resumed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from beamctl.engine.base import Engine, Outcome
from beamctl.engine.conditions import Conditions
from beamctl.engine.journal import Journal
from beamctl.engine.layout import Fence, Knob, SectionLayout
from beamctl.engine.restore import RestoreLine, RestoreOutcome, Restorer
from beamctl.engine.setpoints import OwnedSetpoints
from beamctl.errors import BeamControlError, ChannelConnectionError
from beamctl.store.journal import Intent
from beamctl.store.states import RunState

LATE_S = 1.0
"""how long a single knob may take to answer, once its IOC has"""


@dataclass(frozen=True)
class Left:
    """What a run has left behind.

    Attributes:
        snapshot: as it was written down before the first put.
        intents: every put that it meant to send.
        taken_over: what others had set and the run had taken for its own base, A by PV.
    """

    snapshot: Mapping[str, Any]
    intents: list[Intent]
    taken_over: Mapping[str, float] = field(default_factory=dict)

    @property
    def knobs(self) -> list[Knob]:
        """As they were when it was armed."""
        return [_knob(knob) for knob in self.snapshot["knobs"]]

    def goal(self, knob: Knob, found: float) -> float:
        """What a knob has to be brought back to, A."""
        return self.taken_over.get(knob.setpoint, found)

    def tell(self, setpoints: OwnedSetpoints) -> None:
        """What may be found that is ours: what was written, and what may be written at any moment."""
        for intent in self.intents:
            if intent.pv not in setpoints.pvs:
                continue
            if not intent.is_settled:
                setpoints.expect(intent.pv, [intent.new])
            elif intent.outcome in (Outcome.OK, Outcome.ALTERED):
                setpoints.know(intent.pv, [intent.new, intent.held])


@dataclass(frozen=True)
class Recovered:
    """What has become of it.

    Attributes:
        state: RESTORED; CONFLICT where something was somebody else's; UNKNOWN where the machine could not be read, and
            FAULT where something of ours could not be brought back: then the section stays blocked.
        reason: for people.
        lines: one per knob.
    """

    state: RunState
    reason: str
    lines: list[RestoreLine]

    @property
    def is_over(self) -> bool:
        """Whether nothing is owed any more."""
        return self.state in (RunState.RESTORED, RunState.CONFLICT)


def recover(
    engine: Engine,
    layout: SectionLayout,
    left: Left,
    journal: Journal,
    gate: Callable[[], None],
    connect_timeout_s: float,
) -> Recovered:
    """Bring back what is ours.

    Args:
        engine: not started.
        layout: of the section, as described today; knobs and limits are those of the snapshot.
        left: what the store says.
        journal: for the puts of the restore.
        gate: asked before every put.
        connect_timeout_s: how long PVs may take to answer.
    """
    goals = {knob: left.goal(knob, value) for knob, value in zip(left.knobs, left.snapshot["setpoint_a"], strict=True)}
    try:
        gone = _reach(engine, layout, list(goals), connect_timeout_s)
    except BeamControlError as error:
        return Recovered(RunState.UNKNOWN, f"the machine could not be read: {error}", [])
    there = {knob: goal for knob, goal in goals.items() if knob.setpoint not in gone}
    goal = np.array(list(there.values()), dtype=float)
    setpoints = OwnedSetpoints(engine, tuple(there), goal, journal, gate)
    left.tell(setpoints)
    conditions = Conditions(engine, replace(layout, knobs=tuple(there)))
    report = Restorer(engine, setpoints, goal, conditions, is_inherited=True).run()
    if report.interrupt is not None:
        raise report.interrupt
    touched = {intent.pv for intent in left.intents}
    return _judged([*report.lines, *(_lost(k, g, k.setpoint in touched) for k, g in goals.items() if k not in there)])


def _reach(engine: Engine, layout: SectionLayout, knobs: list[Knob], timeout_s: float) -> set[str]:
    """Connect to what a restore needs; setpoints that are not there any more do not keep the others from it.

    Returns:
        setpoints of the knobs that are gone.

    Raises:
        ChannelConnectionError: what tells whether anything may be written is not there, or no knob is.
    """
    conditions = [layout.identity, *layout.permits, layout.heartbeat]
    try:
        engine.start([*conditions, *(pv for k in knobs for pv in (k.setpoint, k.readback))], timeout_s)
    except ChannelConnectionError as error:
        problem = error
    else:
        return set()
    engine.start(conditions, timeout_s)
    gone = set()
    for knob in knobs:
        try:
            engine.start([knob.setpoint, knob.readback], LATE_S)
        except ChannelConnectionError:
            gone.add(knob.setpoint)
    if len(gone) == len(knobs):
        raise problem
    return gone


def _lost(knob: Knob, goal: float, is_touched: bool) -> RestoreLine:
    outcome = RestoreOutcome.FAILED if is_touched else RestoreOutcome.UNVERIFIED
    message = f"{knob.setpoint} or {knob.readback} is not there any more"
    return RestoreLine(knob.name, knob.setpoint, goal, math.nan, math.nan, outcome, message)


def _knob(stored: Mapping[str, Any]) -> Knob:
    fence = stored["fence"]
    return Knob(**{**stored, "fence": None if fence is None else Fence(**fence)})


def _judged(lines: list[RestoreLine]) -> Recovered:
    failed = [line for line in lines if line.outcome is RestoreOutcome.FAILED]
    foreign = [line for line in lines if line.outcome is RestoreOutcome.FOREIGN]
    restored = sum(line.outcome is RestoreOutcome.RESTORED for line in lines)
    if failed:
        first = failed[0]
        return Recovered(
            RunState.FAULT, f"{len(failed)} of {len(lines)} not restored; {first.setpoint_pv}: {first.message}", lines
        )
    if foreign:
        names = ", ".join(line.setpoint_pv for line in foreign)
        reason = f"{restored} setpoints restored; left alone, as somebody else has written them: {names}"
        return Recovered(RunState.CONFLICT, reason, lines)
    return Recovered(RunState.RESTORED, f"{restored} of {len(lines)} setpoints had to be restored", lines)
