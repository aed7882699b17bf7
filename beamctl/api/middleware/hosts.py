"""The service answers to its own names only, so that no other site's name can be pointed at it (DNS rebinding)."""

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from beamctl.api.answers import problem_response
from beamctl.api.problem import ProblemError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?")


class Hosts:
    """Refuses requests whose Host header is not a name of the service.

    Args:
        app: behind it.
        names: without port.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        await (self._app if problem is None else problem_response(problem))(scope, receive, send)

    def _problem(self, scope: Scope) -> ProblemError | None:
        given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            return ProblemError("bad-request", f"a request needs one Host header, not {len(given)}")
        match = _HOST.fullmatch(given[0])
        if match is not None and match.group(1).rstrip(".") in self._names:
            return None
        detail = f"this service is {', '.join(sorted(self._names))}; further names are set by BEAMCTL_HTTP_HOSTS"
        return ProblemError("wrong-host", detail)
