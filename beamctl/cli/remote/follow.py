"""Following a run through the service; the machine description of this host plays no part in what is shown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from beamctl.api.schemas.events import Event as Recorded
from beamctl.api.schemas.events import Tick
from beamctl.api.schemas.machine import SectionDetail, Task
from beamctl.api.schemas.runs import Run
from beamctl.cli.display import RunDisplay
from beamctl.cli.rows import OrbitRows, Rows, TransmissionRows
from beamctl.cli.story import WAITING, RunStory
from beamctl.client.client import Client
from beamctl.run.events import Event, RunResult
from beamctl.store.states import RunState

PAGE = 1000


@dataclass(frozen=True)
class Scene:
    """What has to be known to show a run.

    Attributes:
        run: as it was at the beginning.
        task: what it tunes; None where the service has it no more.
        section: its setpoints and instruments; None as before.
    """

    run: Run
    task: Task | None
    section: SectionDetail | None

    @property
    def title(self) -> str:
        """Of the task."""
        return self.run.task if self.task is None else self.task.title

    @property
    def is_orbit(self) -> bool:
        """Or it is a transmission."""
        return self.task is None or self.task.kind == "orbit"

    @property
    def short_section(self) -> str:
        """Name of the section for people, without its machine."""
        return self.run.section.rpartition("-")[2]

    @property
    def bpms(self) -> list[str]:
        """Names of the BPMs, in the order of the readings."""
        channels = [] if self.section is None else self.section.channels
        return list(dict.fromkeys(channel.device for channel in channels))

    @property
    def rows(self) -> Rows:
        """How its steps are shown."""
        knobs, channels = self._names
        target = self.run.target or (0.0 if self.task is None else self.task.target)
        if self.is_orbit:
            return OrbitRows(target, channels)
        spans = [] if self.section is None else [knob.hi - knob.lo for knob in self.section.knobs]
        return TransmissionRows(target, None, np.array(spans or [np.inf] * len(knobs)))

    @property
    def _names(self) -> tuple[list[str], tuple[str, ...]]:
        """Of knobs and channels."""
        if self.section is None:
            return self.run.knobs, tuple(self.run.channels)
        return [knob.name for knob in self.section.knobs], tuple(channel.name for channel in self.section.channels)

    def display(self, console: Console) -> RunDisplay:
        """Its live table."""
        goal = f", goal: {self.run.goal}" if self.run.goal else ""
        title = f"run {self.run.id}, {self.title}: {self.run.agent}{goal}"
        return RunDisplay(console, title, self.rows, self._names[0])


def scene(client: Client, run: int) -> Scene:
    """Ask for what has to be known of a run."""
    found = client.runs.get(run)
    task = next((task for task in client.machine.tasks().tasks if task.name == found.task), None)
    return Scene(found, task, None if task is None else client.machine.section(found.section))


class RemoteFollower:
    """One run as events.

    Args:
        client: of the service.
        scene: of the run.
    """

    def __init__(self, client: Client, scene: Scene) -> None:
        self._client = client
        self._scene = scene
        self._hint, self._state = scene.run.hint, scene.run.state
        self._has_owner = True
        self.story = RunStory()

    def show_so_far(self, console: Console) -> None:
        """What has happened until now."""
        with self._scene.display(console) as display:
            after = 0
            while page := self._client.record.events(after=after, run=self._scene.run.id, limit=PAGE).events:
                after = page[-1].seq
                self._show(page, display)

    def follow(self, console: Console | None) -> tuple[Run, RunResult | None]:
        """Show the run until it ends, or is left to a person.

        Args:
            console: where to; None: nowhere.

        Returns:
            the run at its end, and its result; None where it never began.
        """
        messages = self._client.runs.watch(self._scene.run.id)
        if console is None:
            self._show(messages, lambda _: None)
        else:
            with self._scene.display(console) as display:
                self._show(messages, display)
        run = self._client.runs.get(self._scene.run.id)
        if self.story.result is None and self.story.steps:
            writes = len(self._client.runs.puts(run.id).puts)
            return run, self.story.pieced_together(run.reason, writes)
        return run, self.story.result

    def _show(self, messages: Iterable[Recorded | Tick], show: Callable[[Event], None]) -> None:
        for message in messages:
            event = self._story_of(message)
            if event is not None:
                show(event)

    def _story_of(self, message: Recorded | Tick) -> Event | None:
        if isinstance(message, Recorded):
            if message.kind == "state":
                self._state = RunState(message.payload["state"])
            return self.story.take(message.kind, message.payload, message.time)
        self._look(message)
        return self.story.waiting(message.time, has_owner=self._has_owner, hint=self._hint)

    def _look(self, tick: Tick) -> None:
        """Where something is not as usual, only an answer tells whether a process is at work, and what can be done."""
        if tick.control.is_alive and self._state not in WAITING:
            self._has_owner = True
            return
        run = self._client.runs.get(self._scene.run.id)
        self._hint, self._has_owner = run.hint, run.has_owner or run.is_over
