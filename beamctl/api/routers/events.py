"""The record of what happened, as it happens and as pages."""

import re
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from beamctl.api.access import Viewer
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.base import LARGEST_ID, NO_CONTROL
from beamctl.api.schemas.events import Events
from beamctl.api.service import Served, Service
from beamctl.api.stream import frames
from beamctl.api.stream.hub import Client
from beamctl.api.stream.response import EventStream, asks_again
from beamctl.api.version import PREFIX
from beamctl.store.states import Role

router = resource("events")
_ROOT = f"{PREFIX}/events"
After = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="Only events behind this number.")]
OfRun = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only events of this run.")]
_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}, 400: {}, 429: {}}
Section = Annotated[str, Query(min_length=1, max_length=100, pattern=NO_CONTROL)]


@router.get(_ROOT, response_class=Response, responses=_ANSWERS)
async def stream_events(
    request: Request,
    service: Served,
    viewer: Viewer,
    after: After = None,
    run: OfRun = None,
    live: Annotated[list[Section], Query(max_length=50, description="Sections whose readings are wanted.")] = [],  # noqa: B006
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> EventStream:
    """Everything that happens, from now on or from where one has left; a tick every second.

    Events are ``record`` (with id), ``live`` (newest readings of the sections asked for), ``tick``, and ``bye`` when
    one may listen no longer.
    """
    unknown = [section for section in live if section not in service.machines.sections]
    if unknown:
        detail = f"live: no section {unknown[0]!r}; there are: {', '.join(service.machines.sections)}"
        raise ProblemError("invalid", detail)
    cursor = await run_in_threadpool(_cursor, service, after if last_event_id is None else _number(last_event_id))
    client = Client(viewer.name, cursor, run, frozenset(live), viewer.role.covers(Role.ADMIN))
    return EventStream(service.hub, client, service.store, asks_again(request, service.identify))


@router.get(f"{_ROOT}/log")
def list_events(
    service: Served,
    viewer: Viewer,
    after: After = 0,
    run: OfRun = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Events:
    """A page of events, the oldest first."""
    end = service.store.events.end().seq
    is_admin = viewer.role.covers(Role.ADMIN)
    found = service.store.events.read(after or 0, run, limit)
    return Events(events=[frames.message(event, is_admin=is_admin) for event in found], end=end)


def _cursor(service: Service, asked: int | None) -> int:
    """Where to begin; a number that there is not yet is another store's."""
    end = service.store.events.end().seq
    return end if asked is None or asked > end else asked


def _number(last_event_id: str) -> int:
    if not re.fullmatch("[0-9]{1,16}", last_event_id):
        raise ProblemError("bad-request", "Last-Event-ID is the number of an event, as the stream has sent it")
    return int(last_event_id)
