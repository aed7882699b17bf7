"""Runs as messages, from rows and events of the store."""

from collections.abc import Mapping, Sequence
from typing import Any

from beamctl.api.figures import RunFigures
from beamctl.api.numbers import number
from beamctl.api.problem import ProblemError
from beamctl.api.schemas import runs as told
from beamctl.api.service import Service
from beamctl.api.standing import Standing, standing
from beamctl.api.verbs import allowed, hint
from beamctl.errors import UnknownNameError
from beamctl.store.pages import Listed
from beamctl.store.states import RunKind, RunState

_PUT_BACK = (RunState.ACCEPTED, RunState.RESTORED)
LOOKS = 5
Scalar = str | float | int | bool | None


def find(service: Service, run: int) -> Listed:
    """A run by number.

    Raises:
        ProblemError: there is none.
    """
    found = service.store.pages.runs(run=run, limit=1)
    if not found:
        raise ProblemError("not-found", f"there is no run {run}")
    return found[0]


def find_standing(service: Service, run: int) -> tuple[Listed, Standing]:
    """A run and where it stands, of one moment; errors as :func:`find`."""
    for _ in range(LOOKS):
        one = find(service, run)
        stands = standing(service.store, one.run)
        if stands.state in (None, one.run.state):
            break  # else it has gone on in between
    return one, stands


def summaries(service: Service, runs: Sequence[Listed]) -> list[told.RunSummary]:
    """Runs for a list; a bounded number of queries, whatever they have done."""
    figures = service.figures.of([one.run for one in runs])
    owing = owed(service, runs)
    return [told.RunSummary(**_summary(service, one, figures[one.run.id], is_owed=one.run.id in owing)) for one in runs]


def owed(service: Service, runs: Sequence[Listed]) -> set[int]:
    """Those whose writes have neither been accepted nor restored."""
    going_on = [one.run.id for one in runs if one.run.ended is None and one.run.state not in _PUT_BACK]
    return service.store.pages.touched(going_on) if going_on else set()


def detail(service: Service, run: int) -> told.Run:
    """Everything about a run but what it has read and written."""
    one, stands = find_standing(service, run)
    figures = service.figures.of([one.run])[one.run.id]
    choice = chosen(one)
    snapshot: Mapping[str, Any] = one.run.snapshot or {}
    has_owner = one.run.ended is None and service.control.has_owner(one.run.section)
    section = service.machines.sections.get(one.run.section)
    preflight = choice.get("preflight")
    return told.Run(
        **_summary(service, one, figures, is_owed=bool(owed(service, [one]))),
        **_decisions(one, stands, has_owner=has_owner),
        goal=_goal(service, one.run.task, number(choice.get("target"))),
        target=number(choice.get("target")),
        configuration_hash=one.run.configuration_hash,
        agent_hashes={str(name): str(digest) for name, digest in (one.run.agent_hashes or {}).items()},
        choice=choice,
        knobs=[str(knob["name"]) for knob in snapshot.get("knobs", ())],
        channels=[] if section is None else [channel.name for channel in section.channels],
        preflight=int(preflight) if preflight else None,
    )


def chosen(one: Listed) -> dict[str, Scalar]:
    """Everything that was asked for; where the run has begun, as it was understood."""
    choice: dict[str, Any] = {}
    if one.request is not None:
        asked = one.request
        choice = {"algorithm": asked.algorithm, "agent": asked.agent, "target": asked.target, **(asked.budgets or {})}
        choice |= {"dry_run": asked.dry_run, "approval": asked.needs_approval}
    understood = (one.run.snapshot or {}).get("choice") or {}
    choice |= {name: value for name, value in understood.items() if value is not None}
    return {str(name): value for name, value in choice.items() if value is None or isinstance(value, str | int | float)}


def _decisions(one: Listed, stands: Standing, *, has_owner: bool) -> dict[str, Any]:
    is_proposed = stands.proposal is not None
    return {
        "allowed": allowed(one, is_proposed=is_proposed),
        "hint": hint(one, is_proposed=is_proposed, has_owner=has_owner),
        "has_owner": has_owner,
        "proposal": stands.proposal,
        "hold": stands.hold,
        "version": stands.version,
    }


def _summary(service: Service, one: Listed, figures: RunFigures, *, is_owed: bool) -> dict[str, Any]:
    run, asked = one.run, one.request
    choice = chosen(one)
    return {
        "id": run.id,
        "request": run.request,
        "task": run.task,
        "section": run.section,
        "kind": one.kind.value,
        "algorithm": str(choice.get("algorithm") or run.agent.partition("@")[0]),
        "agent": run.agent,
        "principal": run.principal,
        "note": "" if asked is None else asked.note,
        "state": run.state,
        "outcome": run.outcome,
        "reason": run.reason,
        "started": run.started,
        "ended": run.ended,
        "is_over": run.ended is not None,
        "restore_owed": is_owed,
        "step": figures.step,
        "max_steps": max_steps(service, one, choice),
        "initial": figures.initial,
        "best": figures.best,
        "final": figures.final if run.ended is None or figures.has_result else {},  # what recovery leaves is not read
    }


def max_steps(service: Service, one: Listed, choice: Mapping[str, Scalar]) -> int | None:
    """The budget of a run; None where it is not known, or not spent to its end as that of going back to a setting."""
    if one.kind is RunKind.SNAPSHOT:
        return None
    known = (one.run.snapshot or {}).get("max_steps") or choice.get("max_steps")
    if known is not None:
        return int(known)
    return service.budgets.get(one.run.task) if one.kind is RunKind.TUNE else None


def _goal(service: Service, task: str, target: float | None) -> str:
    try:
        return service.machines.goal(task, target)
    except UnknownNameError:
        return ""  # of an earlier deployment
