"""The side of a run that asks: a request to the control process, its run followed, Ctrl-C as an order to abort."""

import getpass
import time
from contextlib import suppress

from rich.console import Console

from beamctl.cli.follow import Follower
from beamctl.cli.story import RunStory
from beamctl.errors import EngineError, LeaseHeldError, StoreConflictError
from beamctl.run.events import RunResult
from beamctl.store.open import Store
from beamctl.store.requests import NewRequest, Request
from beamctl.store.states import RequestState, Verb
from beamctl.wiring.kit import TaskKit

LOOK_S = 0.2
SILENT_S = 3.0
"""a request that nobody has taken for so long is worth a line"""


class StoreClient:
    """Who asks for one run.

    Args:
        store: shared with the control process.
        kit: of the task.
        console: for people; None: nothing is shown.

    Attributes:
        story: what is known of the run.
    """

    def __init__(self, store: Store, kit: TaskKit, console: Console | None) -> None:
        self._store = store
        self._kit = kit
        self._console = console
        self._wants_to_end = False
        self._has_told = False
        self.story = RunStory()

    def end(self) -> None:
        """Somebody wants no more; safe in signal handlers. The run is aborted, which restores it."""
        self._wants_to_end = True

    def carry_out(self, asked: NewRequest) -> tuple[int, RunResult]:
        """Ask, and follow; the number of the run, and its result.

        Raises:
            LeaseHeldError: refused.
            EngineError: cancelled before it began, or not armed; nothing was written.
        """
        request = self._taken(self._store.requests.submit(asked))
        run = self._run_of(request)
        follower = Follower(self._store, run, self._kit)
        self.story = follower.story
        result = follower.follow(self._console, lambda: self._abort(run))
        if result is None:
            raise EngineError(self._store.runs.get(run).reason)
        return run, result

    def _taken(self, request: Request) -> Request:
        """The request as soon as the control process has it."""
        began, has_told = time.monotonic(), False
        with self._store.watch() as watch:
            while request.state is RequestState.WAITING:
                if self._wants_to_end:
                    self._cancel(request)
                if not has_told and time.monotonic() - began > SILENT_S:
                    has_told = True
                    self._say("no control process has taken the request yet (beamctl operate); Ctrl-C takes it back")
                watch.wait(LOOK_S)
                request = self._store.requests.get(request.id)
        return request

    def _cancel(self, request: Request) -> None:
        try:
            self._store.requests.cancel(request.id, getpass.getuser(), "taken back")
        except StoreConflictError:
            return  # it has just been taken: the run is aborted
        raise EngineError("taken back before anything was written")

    def _run_of(self, request: Request) -> int:
        with self._store.watch() as watch:
            while not (runs := self._store.runs.list(request=request.id)):
                if request.state is RequestState.REFUSED:
                    raise LeaseHeldError(f"refused by the control process: {request.reason}")
                watch.wait(LOOK_S)
                request = self._store.requests.get(request.id)
        return runs[0].id

    def _abort(self, run: int) -> None:
        """Once, if somebody wants to end."""
        if not self._wants_to_end or self._has_told:
            return
        self._has_told = True
        with suppress(StoreConflictError):  # it has ended meanwhile
            self._store.commands.send(run, Verb.ABORT, getpass.getuser())

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text)
