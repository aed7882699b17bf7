"""The service as a web application."""

from fastapi import APIRouter, FastAPI

from beamctl.api.faults import HANDLERS
from beamctl.api.routing import GatedRoute
from beamctl.api.service import Service
from beamctl.api.version import API_VERSION

ROUTERS: list[APIRouter] = []
"""one per resource"""


def create_app(service: Service) -> FastAPI:
    """Put the service together.

    Args:
        service: what the routes work with.
    """
    app = FastAPI(
        title="beamctl",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=HANDLERS,
    )
    app.state.service = service
    app.router.route_class = GatedRoute
    for router in ROUTERS:
        app.include_router(router)
    return app
