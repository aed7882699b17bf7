"""Who is behind a reverse proxy that is believed."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from beamctl.api.options import Addresses

PEER = "beamctl.peer"
"""key of the scope: address that the connection came from, whatever any header says"""


class Forwarded:
    """Takes the client's address, the scheme and the Host from what a believed proxy says, and from nobody else.

    Args:
        app: behind it.
        proxies: that are believed.
    """

    def __init__(self, app: ASGIApp, proxies: Addresses) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope.get("client") else ""
            scope[PEER] = peer
            if peer in self._proxies:
                self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hops = [hop.strip() for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
        client = next((hop for hop in reversed(hops) if hop not in self._proxies), None)
        if client:
            scope["client"] = (client[:64], 0)
        if headers.get("x-forwarded-proto") in ("http", "https"):
            scope["scheme"] = headers["x-forwarded-proto"]
        host = headers.getlist("x-forwarded-host")
        if len(host) == 1:
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [*others, (b"host", host[0].encode("latin-1"))]
