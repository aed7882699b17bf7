"""A line per request, without queries and bodies: they may hold what is nobody's business."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("beamctl.api.access")


class AccessLog:
    """Writes who asked for what, what they got, and how long that took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not log.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        finally:
            principal = scope.get("state", {}).get("principal")
            log.info(
                "%s %s %s %s %d %.1f ms",
                scope["client"][0] if scope.get("client") else "-",
                principal.name if principal else "-",
                scope["method"],
                ascii(scope["path"])[1:-1],
                status,
                1000 * (time.perf_counter() - began),
            )
