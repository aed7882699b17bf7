"""One run, event by event, until it is over."""

from beamctl.api.schemas.events import Event, Tick
from beamctl.api.schemas.runs import Request, Run
from beamctl.client.access import Access
from beamctl.client.calls import ask
from beamctl.client.subscription import Subscription
from beamctl.client.work import Work
from beamctl.run.orders import PARKED
from beamctl.store.states import RequestState

ENDED = "ended"


class RunWatch:
    """Reads the stream of one run from its beginning.

    Args:
        access: where and who.
        run: its number.
        patience_s: how long the service may be away.
    """

    def __init__(self, access: Access, run: int, patience_s: float) -> None:
        self._access = access
        self._run = run
        self._subscription = Subscription(access, after=0, run=run, patience_s=patience_s)
        self._state = ""
        self._free_ticks = 0
        self._is_over = False

    def next(self) -> Work[Event | Tick | None]:
        """The next event, or a tick every second; None: it has ended, or is left to a person.

        Raises:
            ServiceError: there is no such run, or the service cannot be asked.
        """
        if not self._state:
            self._state = (yield from self.look()).state
        while not self._is_over:
            message = yield from self._subscription.next()
            if isinstance(message, Event):
                self._note(message)
                return message
            if isinstance(message, Tick):
                yield from self._tick()
                return message
        return None

    def look(self) -> Work[Run]:
        """The run as it is now."""
        return ask(self._access, f"/runs/{self._run}", Run)

    def _note(self, event: Event) -> None:
        self._free_ticks = 0
        self._is_over = event.kind == ENDED
        if event.kind == "state":
            self._state = event.payload["state"]

    def _tick(self) -> Work[None]:
        """Whether it waits for a person; the second tick counts, because its last event may still be on the way."""
        if self._state not in PARKED:
            return
        self._free_ticks = self._free_ticks + 1 if (yield from self._is_left()) else 0
        self._is_over = self._free_ticks > 1

    def _is_left(self) -> Work[bool]:
        """Whether nothing is done for it any more; its section stays with the control process nevertheless."""
        run = yield from self.look()
        if run.request is None:
            return not run.has_owner
        request = yield from ask(self._access, f"/requests/{run.request}", Request)
        return request.state is not RequestState.CLAIMED
