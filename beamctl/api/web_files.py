"""The files of the console, read and compressed once."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",
}
"""by ending; the same on every host, whatever its table of types says"""
SMALL = 500
"""bytes that are not worth compressing"""


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file, ready to be sent.

    Attributes:
        stamp: of the file on disk; another one: it has been replaced.
        zipped: gzip; None where that would not be shorter.
        etag: of the content, with its quotes.
    """

    stamp: tuple[int, int]
    content: bytes
    zipped: bytes | None
    etag: str
    media_type: str


class WebFiles:
    """The files of one folder, never one outside of it. Safe to use from several threads.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[Path, WebFile] = {}

    def get(self, path: str) -> WebFile | None:
        """One of them; None where there is none.

        Args:
            path: from the folder, with ``/``.
        """
        found = (self._root / path).resolve()
        if self._root not in found.parents or not found.is_file():
            return None
        stat = found.stat()
        stamp = stat.st_mtime_ns, stat.st_size
        known = self._files.get(found)
        if known is None or known.stamp != stamp:
            known = self._files[found] = _read(found, stamp)
        return known


def _read(path: Path, stamp: tuple[int, int]) -> WebFile:
    content = path.read_bytes()
    zipped = gzip.compress(content, 9, mtime=0) if len(content) > SMALL else content
    return WebFile(
        stamp,
        content,
        zipped if len(zipped) < len(content) else None,
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream",
    )
