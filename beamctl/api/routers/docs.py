"""The contract itself, for programs and for people; everything comes from here, nothing from other sites.

Swagger UI comes with the package fastapi-offline, which carries the files that FastAPI would load from elsewhere.
"""

from importlib.metadata import distribution
from pathlib import Path as File
from typing import Any, Literal

from fastapi.responses import FileResponse, JSONResponse

from beamctl.api.access import Viewer
from beamctl.api.middleware.headers import content_policy
from beamctl.api.routing import resource

router = resource("docs")
_FILES = File(__file__).parents[1] / "docs_files"
_SWAGGER = File(str(distribution("fastapi-offline").locate_file("fastapi_offline"))) / "static"
_POLICY = {"Content-Security-Policy": content_policy(style_src="'self' 'unsafe-inline'")}
_START = "start.js"
DocsFile = Literal["swagger-ui.css", "swagger-ui-bundle.js", "start.js"]


@router.get("/api/v1/openapi.json", response_class=JSONResponse)
async def get_contract(who: Viewer) -> dict[str, Any]:
    """The contract as OpenAPI 3.1."""
    from beamctl.api.contract import contract  # which is made from this router, too

    return contract()


@router.get("/api/v1/docs", include_in_schema=False)
async def get_docs(who: Viewer) -> FileResponse:
    """The contract to be read and tried out."""
    return FileResponse(_FILES / "index.html", headers=_POLICY)


@router.get("/api/v1/docs/{name}", include_in_schema=False)
async def get_docs_file(name: DocsFile, who: Viewer) -> FileResponse:
    """What the page above needs."""
    return FileResponse((_FILES if name == _START else _SWAGGER) / name, headers=_POLICY)
