"""A fault of ours is written to the log, and told without its inside."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beamctl.api.answers import problem_response
from beamctl.api.problem import ProblemError

log = logging.getLogger("beamctl.api")


class Unexpected:
    """Turns an exception that nobody has expected into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        has_started = False

        async def noticed(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception:
            if scope["type"] != "http" or has_started:
                raise
            log.exception("%s %s", scope["method"], ascii(scope["path"]))
            detail = "it was not your fault and is in the log of the service; what was asked for may not be done"
            await problem_response(ProblemError("internal", detail))(scope, receive, send)
