"""No body may be larger, or take longer, than the service allows."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beamctl.api.answers import problem_response
from beamctl.api.problem import ProblemError

_CLOSE = {"Connection": "close"}  # what is still to come is not read


class BodyLimit:
    """Ends a request whose body is too large before more of it is read, also where it comes in chunks.

    Args:
        app: behind it.
        limit: bytes.
        timeout_s: from the first look at the body to its end.
    """

    def __init__(self, app: ASGIApp, limit: int, timeout_s: float) -> None:
        self._app = app
        self._limit = limit
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > self._limit:
            await problem_response(self._too_large())(scope, receive, send)
            return
        await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        size = 0
        deadline: float | None = None
        is_complete = False

        async def limited() -> Message:
            nonlocal size, deadline, is_complete
            if is_complete:
                return await receive()
            deadline = deadline or asyncio.get_running_loop().time() + self._timeout_s
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"the body has not arrived within {self._timeout_s:g} s"
                raise ProblemError("too-slow", detail, _CLOSE) from None
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            is_complete = not message.get("more_body", False)
            return message

        return limited

    def _too_large(self) -> ProblemError:
        return ProblemError("too-large", f"at most {self._limit} bytes are read", _CLOSE)
