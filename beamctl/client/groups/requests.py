"""Requests: what was asked for, and what became of it."""

from beamctl.api.schemas.runs import Request, Requests
from beamctl.client.calls import ask, tell, told
from beamctl.client.work import Call, Group, Pause, W, Work
from beamctl.store.states import RequestState

LOOK_S = 0.3
OPEN = (RequestState.WAITING, RequestState.CLAIMED)


class RequestCalls(Group[W]):
    """Requests."""

    @Call
    def list(
        self, *, state: RequestState | None = None, before: int | None = None, limit: int | None = None
    ) -> Work[Requests]:
        """A page, the latest first; ``before`` is the ``next`` of the page before."""
        return ask(self._access, "/requests", Requests, state=state, before=before, limit=limit)

    @Call
    def get(self, request: int) -> Work[Request]:
        """One of them."""
        return ask(self._access, f"/requests/{request}", Request)

    @Call
    def cancel(self, request: int) -> Work[Request]:
        """Take a waiting one back.

        Raises:
            ConflictError: it has been taken meanwhile.
        """
        return told((yield from tell(self._access, "DELETE", f"/requests/{request}")), Request)

    @Call
    def settled(self, request: int) -> Work[Request]:
        """Wait until it has a run, or is refused or cancelled.

        Example:
            request = client.runs.start("cm1-orbit")
            run = client.requests.settled(request.id).run
        """
        while True:
            found = yield from ask(self._access, f"/requests/{request}", Request)
            if found.run is not None or found.state not in OPEN:
                return found
            yield Pause(LOOK_S)
