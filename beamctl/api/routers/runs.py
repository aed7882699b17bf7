"""Runs: ask for one, look at them, look into one."""

from typing import Annotated

from fastapi import Header, Query, Response

from beamctl.api import requests_view, run_parts, runs_view
from beamctl.api.access import Operator, Viewer
from beamctl.api.parameters import Before, Limit, RowNumber, Word
from beamctl.api.routing import resource
from beamctl.api.schemas.runs import Key, NewRequest, Puts, Request, RestoreSnapshot, Run, Runs, Setpoints, Steps
from beamctl.api.service import Served
from beamctl.api.version import PREFIX
from beamctl.api.versions import etag
from beamctl.store.states import RunKind, RunState

router = resource("runs")
_ROOT = f"{PREFIX}/runs"
IdempotencyKey = Annotated[
    Key | None, Header(alias="Idempotency-Key", description="The same key again is the same request again.")
]


@router.post(_ROOT, status_code=202)
def request_run(
    asked: NewRequest, service: Served, operator: Operator, response: Response, key: IdempotencyKey = None
) -> Request:
    """Ask for a run; the control process takes it, or refuses it with a reason."""
    who = operator.name
    made = requests_view.submit(
        service,
        who,
        key,
        lambda stored: service.machines.request(asked, who, stored),
        asked.if_control_down,
    )
    response.headers["Location"] = f"{PREFIX}/requests/{made.id}"
    return made


@router.get(_ROOT)
def list_runs(
    service: Served,
    viewer: Viewer,
    section: Word = None,
    task: Word = None,
    state: Annotated[RunState | None, Query()] = None,
    kind: Annotated[RunKind | None, Query()] = None,
    principal: Word = None,
    before: Before = None,
    limit: Limit = 50,
) -> Runs:
    """Runs, the latest first."""
    found = service.store.pages.runs(
        section=section, task=task, state=state, kind=kind, principal=principal, before=before, limit=limit + 1
    )
    more = found[limit - 1].run.id if len(found) > limit else None
    return Runs(runs=runs_view.summaries(service, found[:limit]), next=more)


@router.get(f"{_ROOT}/{{run}}")
def get_run(run: RowNumber, service: Served, viewer: Viewer, response: Response) -> Run:
    """Where a run is, what a person can do; the ETag is what decisions are made on."""
    found = runs_view.detail(service, run)
    response.headers.update(etag(found.version))
    return found


@router.get(f"{_ROOT}/{{run}}/steps")
def get_run_steps(run: RowNumber, service: Served, viewer: Viewer) -> Steps:
    """Every setting and what was read there."""
    return run_parts.steps(service, run)


@router.get(f"{_ROOT}/{{run}}/setpoints")
def get_run_setpoints(run: RowNumber, service: Served, viewer: Viewer) -> Setpoints:
    """What became of every setpoint: before, last written, now, restored."""
    return run_parts.setpoints(service, run)


@router.get(f"{_ROOT}/{{run}}/puts")
def get_run_puts(run: RowNumber, service: Served, viewer: Viewer) -> Puts:
    """Every put, as it was written down before it was sent."""
    return run_parts.puts(service, run)


@router.post(f"{_ROOT}/{{run}}/snapshot", status_code=202)
def request_snapshot(
    run: RowNumber,
    asked: RestoreSnapshot,
    service: Served,
    operator: Operator,
    response: Response,
    key: IdempotencyKey = None,
) -> Request:
    """Ask for a run that brings the section to what this run had found, or to its best setting."""
    who, one = operator.name, runs_view.find(service, run)
    made = requests_view.submit(
        service,
        who,
        key,
        lambda stored: service.machines.snapshot_request(one.run, asked, who, stored),
        asked.if_control_down,
    )
    response.headers["Location"] = f"{PREFIX}/requests/{made.id}"
    return made
