"""Following a run through the store, by whatever process it is carried out."""

from collections.abc import Callable, Iterator

from rich.console import Console

from beamctl.cli.display import RunDisplay
from beamctl.cli.rows import make_rows
from beamctl.cli.story import RunStory
from beamctl.run.events import Event, RunResult
from beamctl.run.orders import HINTS, PARKED
from beamctl.store.events import now
from beamctl.store.leases import section_lease
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.store.states import RequestState
from beamctl.wiring.kit import TaskKit

LOOK_S = 0.5


class Follower:
    """One run as events.

    Args:
        store: where it is written down.
        run: its number.
        kit: of its task.

    Attributes:
        story: what is known of it so far.
    """

    def __init__(self, store: Store, run: int, kit: TaskKit) -> None:
        self._store = store
        self._run = run
        self._kit = kit
        self._after = 0
        self.story = RunStory()

    def show_so_far(self, console: Console) -> None:
        """What has happened until now."""
        with self._display(console) as display:
            for event in self._new():
                display(event)

    def follow(self, console: Console | None, look: Callable[[], None] = lambda: None) -> RunResult | None:
        """Show the run until it ends, or waits for a person.

        Args:
            console: where to; None: nowhere.
            look: called twice a second.

        Returns:
            its result, None where it never began.
        """
        if console is None:
            self._until_the_end(lambda _: None, look)
        else:
            with self._display(console) as display:
                self._until_the_end(display, look)
        run = self._store.runs.get(self._run)
        if self.story.result is None and run.snapshot is not None:
            return self.story.pieced_together(run.reason, len(self._store.journal.of_run(run.id)))
        return self.story.result

    def _until_the_end(self, show: Callable[[Event], None], look: Callable[[], None]) -> None:
        with self._store.watch() as watch:
            while True:
                run = self._store.runs.get(self._run)
                for event in self._new():
                    show(event)
                if self._is_over(run):
                    return
                hint = HINTS[run.state].format(run=run.id) if run.state in HINTS else ""
                waiting = self.story.waiting(now(), has_owner=self._has_owner(run), hint=hint)
                if waiting is not None:
                    show(waiting)
                look()
                watch.wait(LOOK_S)

    def _is_over(self, run: Run) -> bool:
        """Whether it has ended, or its process has left it to a person."""
        if run.ended is not None or run.state not in PARKED:
            return run.ended is not None
        if run.request is not None:
            return self._store.requests.get(run.request).state is not RequestState.CLAIMED
        return self.story.result is not None or not self._has_owner(run)

    def _has_owner(self, run: Run) -> bool:
        """Whether any process is at work on its section."""
        return self._store.leases.is_held(section_lease(run.section))

    def _display(self, console: Console) -> RunDisplay:
        run = self._store.runs.get(self._run)
        title = f"run {run.id}, {self._kit.facts.title}: {run.agent}"
        return RunDisplay(console, title, make_rows(self._kit, None), [k.name for k in self._kit.layout().knobs])

    def _new(self) -> Iterator[Event]:
        while stored := self._store.events.read(self._after, self._run):
            self._after = stored[-1].seq
            for one in stored:
                event = self.story.take(one.kind, one.payload, one.time)
                if event is not None:
                    yield event
