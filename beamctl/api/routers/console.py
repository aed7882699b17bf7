"""The console in the browser: files without any data, so without login."""

from pathlib import Path as File
from typing import Annotated

from fastapi import Path, Response
from fastapi.responses import FileResponse

from beamctl.api.access import PUBLIC
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource

router = resource("console")
FILES = File(__file__).parents[2] / "web"


@router.get("/", dependencies=[PUBLIC], include_in_schema=False)
def get_console() -> Response:
    """The page that everything begins with."""
    return _file("index.html")


@router.get("/web/{path:path}", dependencies=[PUBLIC], include_in_schema=False)
def get_console_file(path: Annotated[str, Path(max_length=200, pattern=r"^[A-Za-z0-9._/-]+$")]) -> Response:
    """What it needs."""
    return _file(path)


def _file(path: str) -> Response:
    """One of the files of the folder, never one outside of it."""
    found = (FILES / path).resolve()
    if not found.is_file() or FILES.resolve() not in found.parents:
        raise ProblemError("not-found", "there is no such file of the console")
    return FileResponse(found)
