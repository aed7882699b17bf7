"""Preflight checks: what they have found, and asking for one."""

from typing import Annotated

from fastapi import Header, Response

from beamctl.api import requests_view
from beamctl.api.access import Operator, Viewer
from beamctl.api.parameters import Name
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.preflight import PreflightResult, Preflights, PreflightSummary
from beamctl.api.schemas.runs import Key, Request, StartPreflight
from beamctl.api.service import Served, Service
from beamctl.api.version import PREFIX

router = resource("preflight")
_ROOT = f"{PREFIX}/preflight"


@router.get(_ROOT)
def list_preflights(service: Served, viewer: Viewer) -> Preflights:
    """Every section that can be checked, with its newest complete preflight."""
    checked = service.machines.checked_sections
    return Preflights(sections=[_summary(service, section, task) for section, task in checked.items()])


@router.get(f"{_ROOT}/{{section}}")
def get_preflight(section: Name, service: Served, viewer: Viewer) -> PreflightResult:
    """What the newest complete preflight of a section has found."""
    found = service.machines.preflight(section)
    if found is None:
        raise ProblemError("not-found", f"{section} has no complete preflight: ask for one")
    return found


@router.post(f"{_ROOT}/{{section}}", status_code=202)
def request_preflight(
    section: Name,
    asked: StartPreflight,
    service: Served,
    operator: Operator,
    response: Response,
    key: Annotated[Key | None, Header(alias="Idempotency-Key")] = None,
) -> Request:
    """Ask for a preflight: kicks every corrector a little, compares, restores."""
    who = operator.name
    made = requests_view.submit(
        service,
        who,
        key,
        lambda stored: service.machines.preflight_request(section, asked, who, stored),
        asked.if_control_down,
    )
    response.headers["Location"] = f"{PREFIX}/requests/{made.id}"
    return made


def _summary(service: Service, section: str, task: str) -> PreflightSummary:
    found = service.machines.preflight(section)
    if found is None:
        return PreflightSummary(section=section, task=task, run=None, time=None, is_current=False, summary="")
    return PreflightSummary(
        section=section, task=task, run=found.run, time=found.time, is_current=found.is_current, summary=found.summary
    )
