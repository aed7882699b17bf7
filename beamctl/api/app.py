"""The service as a web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from beamctl.api.faults import HANDLERS
from beamctl.api.middleware.access_log import AccessLog
from beamctl.api.middleware.body_limit import BodyLimit
from beamctl.api.middleware.forwarded import Forwarded
from beamctl.api.middleware.headers import SecurityHeaders
from beamctl.api.middleware.hosts import Hosts
from beamctl.api.middleware.measured import Measured
from beamctl.api.middleware.unexpected import Unexpected
from beamctl.api.routers.all import ROUTERS
from beamctl.api.routing import GatedRoute
from beamctl.api.service import Service
from beamctl.api.version import API_VERSION


def create_app(service: Service) -> FastAPI:
    """Put the service together.

    Args:
        service: what the routes work with; it starts and stops with the application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await run_in_threadpool(service.stop)

    app = FastAPI(
        title="beamctl",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
        middleware=_middleware(service),
        lifespan=lifespan,
    )
    app.state.service = service
    app.router.route_class = GatedRoute
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # paths are from the root already
    return app


def _middleware(service: Service) -> list[Middleware]:
    """Outermost first."""
    options = service.options
    return [
        Middleware(AccessLog),
        Middleware(Measured, service.metrics),
        Middleware(SecurityHeaders),
        Middleware(Unexpected),
        Middleware(Forwarded, options.proxy.addresses),
        Middleware(Hosts, options.hosts),
        Middleware(BodyLimit, options.body_limit, options.body_timeout_s),
    ]
