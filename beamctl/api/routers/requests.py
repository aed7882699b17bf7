"""Requests for runs."""

from typing import Annotated

from fastapi import Query

from beamctl.api import requests_view
from beamctl.api.access import Operator, Viewer
from beamctl.api.parameters import Before, Limit, RowNumber
from beamctl.api.problem import ProblemError
from beamctl.api.refused import refuse
from beamctl.api.routing import resource
from beamctl.api.schemas.runs import Request, Requests
from beamctl.api.service import Served
from beamctl.api.version import PREFIX
from beamctl.errors import StoreConflictError
from beamctl.store.states import RequestState

router = resource("requests")
_ROOT = f"{PREFIX}/requests"


@router.get(_ROOT)
def list_requests(
    service: Served,
    viewer: Viewer,
    state: Annotated[RequestState | None, Query()] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Requests:
    """What was asked for, the latest first."""
    found = service.store.requests.list(state, before, limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    return Requests(requests=requests_view.view(service, found[:limit]), next=more)


@router.get(f"{_ROOT}/{{request}}")
def get_request(request: RowNumber, service: Served, viewer: Viewer) -> Request:
    """One request, and the run that answers it."""
    return requests_view.view(service, [requests_view.find(service, request)])[0]


@router.delete(f"{_ROOT}/{{request}}")
def cancel_request(request: RowNumber, service: Served, operator: Operator) -> Request:
    """Take back a request that is still waiting."""
    requests_view.find(service, request)
    try:
        cancelled = service.store.requests.cancel(request, operator.name, f"cancelled by {operator.name}")
    except StoreConflictError as error:
        detail = f"{error}: only what is waiting can be cancelled; a run is ended by abort"
        refuse(service, operator.name, f"cancel request {request}", ProblemError("conflict", detail))
    return requests_view.view(service, [cancelled])[0]
