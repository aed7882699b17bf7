"""Where a run is, told to whoever listens and written down."""

import logging

from beamctl.errors import JournalError
from beamctl.run.events import Changed, Event, Listener
from beamctl.run.record import Record
from beamctl.store.states import RunState

_log = logging.getLogger(__name__)


class Voice:
    """The state of a run, and its events.

    Args:
        listener: told of everything; one that fails is told no more, and the run goes on.
        record: written first.

    Attributes:
        state: where the run is.
    """

    def __init__(self, listener: Listener, record: Record) -> None:
        self._listener: Listener | None = listener
        self._record = record
        self.state = RunState.IDLE

    def tell(self, event: Event) -> None:
        """Nothing depends on whether anybody listens."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            self._listener = None
            _log.exception("the listener failed and is told no more; the run goes on")

    def change(self, state: RunState, reason: str) -> None:
        """The run is somewhere else now.

        Raises:
            JournalError: it could not be written down, before a state in which puts may follow.
        """
        if state is self.state:
            return
        self.state = state
        self.tell(Changed(state, reason))
        self._record.state(state, reason)

    def change_anyway(self, state: RunState, reason: str) -> None:
        """As :meth:`change`, on the way out: nothing may keep the machine from being restored."""
        try:
            self.change(state, reason)
        except JournalError:
            _log.exception("state %s could not be written down", state)
