"""What a run has read and written, as messages."""

import math
from collections.abc import Mapping
from typing import Any

from beamctl.api import numbers
from beamctl.api.runs_view import find, owed
from beamctl.api.schemas import runs as told
from beamctl.api.service import Service
from beamctl.engine.restore import RestoreOutcome
from beamctl.engine.setpoints import is_same
from beamctl.run.visits import AGAIN, VISITED
from beamctl.store.events import Event
from beamctl.store.journal import Intent
from beamctl.store.pages import Listed

RESTORED = "restored"
_LEFT_ALONE = ("foreign",)


def steps(service: Service, run: int) -> told.Steps:
    """Every step of a run, in order."""
    find(service, run)
    return told.Steps(run=run, steps=[_step(event) for event in service.store.pages.events(run, (VISITED, AGAIN))])


def puts(service: Service, run: int) -> told.Puts:
    """Every put of a run, in order."""
    find(service, run)
    return told.Puts(run=run, puts=[_put(intent) for intent in service.store.journal.of_run(run)])


def setpoints(service: Service, run: int) -> told.Setpoints:
    """What became of every setpoint of a run."""
    one = find(service, run)
    snapshot: Mapping[str, Any] = one.run.snapshot or {"knobs": [], "setpoint_a": []}
    last = {pv: intent.new for pv, intent in service.store.journal.last_intended(run).items()}
    restored = _restored(service, run)
    now = _now(service, one)
    is_owing = bool(owed(service, [one]))
    lines = []
    for knob, found in zip(snapshot["knobs"], numbers.numbers(snapshot["setpoint_a"]), strict=True):
        pv = str(knob["setpoint"])
        held, readback, age_s = now.get(pv, (None, None, None))
        outcome, message = restored.get(pv, ("", ""))
        line = told.SetpointLine(
            name=str(knob["name"]), pv=pv, snapshot=found, last=last.get(pv), now=held, now_age_s=age_s,
            readback=readback, restored=outcome, message=message, is_owed=False,
        )  # fmt: skip
        lines.append(line.model_copy(update={"is_owed": is_owing and _is_owed(line)}))
    return told.Setpoints(run=run, setpoints=lines)


def _is_owed(line: told.SetpointLine) -> bool:
    """Whether a setpoint is not where the snapshot has it, as far as anybody knows, because of this run."""
    if line.last is None or line.restored in _LEFT_ALONE or line.snapshot is None:
        return False
    holds = line.last if line.now is None else line.now
    return not is_same(holds, line.snapshot)


def _step(event: Event) -> told.Step:
    p = event.payload
    values = zip(numbers.numbers(p["values"]), p["valid"], strict=True)
    return told.Step(
        step=int(p["step"]),
        seconds=numbers.number(p.get("seconds")),
        figures=numbers.figures(p.get("figures")),
        values=[value if is_valid else None for value, is_valid in values],
        setpoint_a=numbers.known(p["setpoint_a"]),
        readback_a=numbers.numbers(p["readback_a"]),
        note=str(p.get("note", "")),
        time=event.time,
        is_again=event.kind == AGAIN,
    )


def _put(intent: Intent) -> told.Put:
    return told.Put(
        group=intent.seq,
        pv=intent.pv,
        old=intent.old,
        new=intent.new,
        outcome="" if intent.outcome is None else intent.outcome.value,
        held=intent.held if math.isfinite(intent.held) else None,
        message=intent.message,
        written=intent.written,
        settled=intent.settled,
    )


def _restored(service: Service, run: int) -> dict[str, tuple[str, str]]:
    """Outcome in a word and message of the last restore, by PV."""
    event = service.store.pages.latest(run, (RESTORED,))
    lines = () if event is None else event.payload
    return {str(line["setpoint_pv"]): (_word(str(line["outcome"])), str(line["message"])) for line in lines}


def _word(outcome: str) -> str:
    try:
        return RestoreOutcome(outcome).name.lower()
    except ValueError:
        return outcome  # of another version


def _now(service: Service, one: Listed) -> dict[str, tuple[float | None, float | None, float]]:
    """Setpoint, readback and age of what the machine holds now, by PV."""
    live = service.live.live(one.run.section)
    section = service.machines.sections.get(one.run.section)
    if live is None or section is None:
        return {}
    held = zip(section.knobs, live.setpoint_a, live.readback_a, strict=False)
    return {knob.setpoint_pv: (setpoint, readback, live.age_s) for knob, setpoint, readback in held}
