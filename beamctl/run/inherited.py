"""What the control process finds in the store that others have written: orders, and runs of processes that are gone."""

import logging

from beamctl.engine.base import Outcome, WriteResult
from beamctl.errors import StoreError
from beamctl.store.commands import Command, Commands
from beamctl.store.open import Store
from beamctl.store.runs import Run

_log = logging.getLogger(__name__)

MOST_EVENTS = 1_000_000


class CommandReader:
    """Each command once, also while the disk is full and nobody can write down that it was taken."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._seen: set[int] = set()

    def new(self, run: int) -> list[Command]:
        """Those that were not given out before, the oldest first."""
        found = {command.id: command for command in self._commands.pending(run)}
        if found:
            try:  # what has come since is marked as taken with the others, so it has to be given out with them
                found |= {command.id: command for command in self._commands.take(run)}
            except StoreError as error:
                if found.keys() - self._seen:
                    _log.error("orders for run %d are followed, but not marked as taken: %s", run, error)
        new = [found[number] for number in sorted(found.keys() - self._seen)]
        self._seen.update(command.id for command in new)
        return new


def settle_open(store: Store, run: int) -> None:
    """Of the puts that a dead process has left open nobody knows what became of them: so they are ``unknown``."""
    left = [intent for intent in store.journal.unsettled(run) if intent.outcome is None]
    message = "the process that meant to send it ended before its outcome was known"
    store.journal.settle({i.id: WriteResult(Outcome.UNKNOWN, i.new, message=message) for i in left})


def known_outcome(store: Store, run: Run) -> str:
    """How a run has ended, as far as it was written down before its process ended."""
    results = [e.payload["outcome"] for e in store.events.read(run=run.id, limit=MOST_EVENTS) if e.kind == "result"]
    return str(results[-1]) if results else run.state.value
