"""The console in the browser: files without any data, so without login."""

from pathlib import Path as File
from typing import Annotated

from fastapi import Path, Request, Response

from beamctl.api.access import PUBLIC
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.web_files import WebFiles

router = resource("console")
FILES = WebFiles(File(__file__).parents[2] / "web")
FilePath = Annotated[str, Path(max_length=200, pattern=r"^[A-Za-z0-9._/-]+$")]


@router.get("/", dependencies=[PUBLIC], include_in_schema=False)
def get_console(request: Request) -> Response:
    """The page that everything begins with."""
    return _answer("index.html", request)


@router.get("/web/{path:path}", dependencies=[PUBLIC], include_in_schema=False)
def get_console_file(path: FilePath, request: Request) -> Response:
    """What it needs."""
    return _answer(path, request)


def _answer(path: str, request: Request) -> Response:
    """A file, compressed where the browser takes that; nothing where it has the same already."""
    file = FILES.get(path)
    if file is None:
        raise ProblemError("not-found", "there is no such file of the console")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.zipped, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)
