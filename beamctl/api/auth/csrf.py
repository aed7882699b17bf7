"""Requests that a browser sends on its own account must come from our own pages."""

from urllib.parse import urlsplit

from fastapi import Request

from beamctl.api.problem import ProblemError

HEADER = "X-Beamctl"
_SAFE = ("GET", "HEAD", "OPTIONS")


def check_same_site(request: Request) -> None:
    """See that a request which could have been made from any page was made from ours.

    A page of another site can neither set the header (that would need a permission that is never given) nor leave out
    what browsers say about where a request comes from.

    Raises:
        ProblemError: it was not.
    """
    if request.method in _SAFE:
        return
    if request.headers.get(HEADER) != "1":
        raise ProblemError("cross-site", f"with a cookie, {request.method} needs the header {HEADER}: 1")
    check_origin(request)


def check_origin(request: Request) -> None:
    """See that a browser, where it says so, names us as the site that a request comes from; errors as above."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        raise ProblemError("cross-site", f"the browser says that the request is {ascii(site)[:30]}")
    origin = request.headers.get("origin")
    if origin is not None and not _is_ours(origin, request):
        raise ProblemError("cross-site", "the Origin is another one than the Host")


def _is_ours(origin: str, request: Request) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == request.headers.get("host", "").lower()
