"""What several tests of guarded runs do to a machine, and look at afterwards."""

from collections.abc import Callable

from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Stepped
from beamctl.store.states import RunState, Verb

LONG = {"target_mm": 0.011}
"""a run that people end"""


def outcomes(report) -> dict[str, RestoreOutcome]:
    return {line.setpoint_pv: line.outcome for line in report.lines}


def _freeze(rig, _):
    rig.faults.frozen = True


BREAK: dict[str, Callable] = {
    "silent": lambda rig, pv: rig.faults.silent.add(pv),
    "stuck": lambda rig, pv: rig.faults.stuck.update({pv: rig.engine.latest([pv])[pv].value}),
    "not_finite": lambda rig, pv: rig.faults.not_finite.add(pv),
    "invalid": lambda rig, pv: rig.faults.invalid.add(pv),
    "frozen": _freeze,
}


def heal(rig) -> None:
    """Everything is as new."""
    f = rig.faults
    for broken in (f.lost, f.silent, f.stuck, f.not_finite, f.invalid, f.refusing, f.altering, f.held):
        broken.clear()
    f.frozen = False
    rig.permit(True)


def of(rig, kind):
    return [event for event in rig.events if isinstance(event, kind)]


def after_step(rig, step, action):
    """Do something once, when the machine has been measured after a step."""

    def on_event(event):
        if isinstance(event, Stepped) and event.step == step and not done:
            done.append(True)
            action()

    done = []
    rig.on_event = on_event


def is_restored(rig, result) -> bool:
    """The run says so for every knob, the machine agrees, and no put was out of order."""
    return (
        result.restored
        and rig.off() == set()
        and rig.breaches() == []
        and len(result.restore) == len(rig.knobs)
        and {line.outcome for line in result.restore} <= {RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED}
    )


def at_step(rig, step, *actions, review=None):
    """Do things, one after the other, each once, from when the machine has been measured after a step."""
    queue = list(actions)

    def on_event(event):
        if isinstance(event, Stepped) and event.step == step and queue:
            queue.pop(0)()
        if getattr(event, "state", None) is RunState.REVIEW and review is not None:
            review.give(Verb.ACCEPT)

    rig.on_event = on_event
