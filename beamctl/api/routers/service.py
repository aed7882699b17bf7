"""The service itself: who it is, whether it is well, its figures for monitoring."""

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from fastapi import Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from beamctl.api.access import PUBLIC, Viewer
from beamctl.api.health import readiness
from beamctl.api.routing import resource
from beamctl.api.schemas.machine import Health
from beamctl.api.schemas.machine import Service as ServiceInfo
from beamctl.api.service import Served
from beamctl.api.version import API_VERSION, PREFIX

router = resource("service")


@router.get("/healthz", dependencies=[PUBLIC])
async def get_health() -> Health:
    """The process answers; says nothing about anything else."""
    return Health(status="ok")


@router.get("/readyz", dependencies=[PUBLIC], responses={503: {"model": Health}})
def get_readiness(service: Served, response: Response) -> Health:
    """Store, control process and readings are there; 503 where they are not."""
    health = readiness(service)
    if health.wrong:
        response.status_code = 503
    return health


@router.get("/metrics", response_class=PlainTextResponse)
async def get_metrics(service: Served, viewer: Viewer) -> Response:
    """Figures for Prometheus."""
    return Response(await run_in_threadpool(service.metrics.text), media_type=service.metrics.media_type)


@router.get(f"{PREFIX}/service")
def get_service(service: Served, viewer: Viewer) -> ServiceInfo:
    """Versions, store, machines, and the control process."""
    return ServiceInfo(
        version=_version(),
        api_version=API_VERSION,
        store=service.store.name,
        machines=service.machines.titles,
        control=service.control.view(),
        last_event=service.store.events.end().seq,
        time=datetime.now(UTC),
    )


@cache
def _version() -> str:
    """Looked up in a file, once."""
    return version("beamctl")
