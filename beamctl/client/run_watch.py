"""One run, event by event, until it is over."""

from beamctl.api.schemas.events import Event, Tick
from beamctl.api.schemas.runs import Run
from beamctl.client.access import Access
from beamctl.client.calls import ask
from beamctl.client.subscription import Subscription
from beamctl.client.work import Work
from beamctl.run.orders import PARKED

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
        """The next event, or a tick every second; None: it has ended, or waits for a person without a process at it.

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
        """Its process may have left it; the second tick, because its last event may still be on the way."""
        if self._state not in PARKED:
            return
        run = yield from self.look()
        self._free_ticks = 0 if run.has_owner else self._free_ticks + 1
        self._is_over = self._free_ticks > 1
