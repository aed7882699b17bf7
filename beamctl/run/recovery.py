"""After a restart: what a run that nobody finished has left behind is found, and brought back.

For ten seconds every setpoint is watched, since a put of the dead process may still be applied. Then: equal to the
snapshot, fine; equal to what that run meant to write, ours, and restored in steps if permit and identity are right;
anything else is somebody's own and left alone. No run is ever resumed.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from beamctl.engine.base import Engine
from beamctl.engine.conditions import Conditions
from beamctl.engine.journal import Journal
from beamctl.engine.layout import Fence, Knob, SectionLayout
from beamctl.engine.restore import RestoreLine, RestoreOutcome, Restorer, RestoreReport
from beamctl.engine.setpoints import OwnedSetpoints
from beamctl.errors import BeamControlError
from beamctl.store.journal import Intent
from beamctl.store.states import RunState

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Left:
    """What a run has left behind.

    Attributes:
        snapshot: as it was written down before the first put.
        intents: every put that it meant to send.
    """

    snapshot: Mapping[str, Any]
    intents: list[Intent]


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
    knobs = tuple(_knob(knob) for knob in left.snapshot["knobs"])
    goal = np.array(left.snapshot["setpoint_a"], dtype=float)
    own = replace(layout, knobs=knobs)
    try:
        engine.start(own.all_pvs, connect_timeout_s)
    except BeamControlError as error:
        return Recovered(RunState.UNKNOWN, f"the machine could not be read: {error}", [])
    setpoints = OwnedSetpoints(engine, knobs, goal, journal, gate)
    for intent in left.intents:
        setpoints.expect(intent.pv, [intent.new])
    report = Restorer(engine, setpoints, goal, Conditions(engine, own)).run()
    if report.interrupt is not None:
        raise report.interrupt
    return _judged(report)


def _knob(stored: Mapping[str, Any]) -> Knob:
    fence = stored["fence"]
    return Knob(**{**stored, "fence": None if fence is None else Fence(**fence)})


def _judged(report: RestoreReport) -> Recovered:
    lines = report.lines
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
