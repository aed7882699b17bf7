"""Following a run through the store, by whatever process it is carried out."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rich.console import Console

from beamctl.cli.display import RunDisplay
from beamctl.cli.rows import make_rows
from beamctl.engine.restore import RestoreLine, RestoreOutcome
from beamctl.run.events import Changed, Event, Outcome, Restored, RunResult, Stepped
from beamctl.run.visits import number, numbers
from beamctl.store.events import Event as StoredEvent
from beamctl.store.open import Store
from beamctl.store.states import RunState
from beamctl.wiring.kit import TaskKit

LOOK_S = 0.5


class Follower:
    """One run as events.

    Args:
        store: where it is written down.
        run: its number.
        kit: of its task.
    """

    def __init__(self, store: Store, run: int, kit: TaskKit) -> None:
        self._store = store
        self._run = run
        self._kit = kit
        self._after = 0
        self.result: RunResult | None = None

    def show_so_far(self, console: Console) -> None:
        """What has happened until now."""
        with self._display(console) as display:
            for event in self._new():
                display(event)

    def follow(self, console: Console | None, note: Callable[[Stepped], None] = lambda _: None) -> RunResult | None:
        """Show the run until it ends.

        Args:
            console: where to; None: nowhere.
            note: told of every reading.

        Returns:
            its result, None where it never began.
        """
        if console is None:
            self._until_the_end(lambda _: None, note)
        else:
            with self._display(console) as display:
                self._until_the_end(display, note)
        return self.result

    def _until_the_end(self, show: Callable[[Event], None], note: Callable[[Stepped], None]) -> None:
        with self._store.watch() as watch:
            while True:
                run = self._store.runs.get(self._run)
                for event in self._new():
                    if isinstance(event, Stepped):
                        note(event)
                    show(event)
                if run.ended is not None or run.state in (RunState.HALTED, RunState.FAULT):
                    return
                watch.wait(LOOK_S)

    def _display(self, console: Console) -> RunDisplay:
        run = self._store.runs.get(self._run)
        title = f"run {run.id}, {self._kit.facts.title}: {run.agent}"
        return RunDisplay(console, title, make_rows(self._kit, None), [k.name for k in self._kit.layout().knobs])

    def _new(self) -> Iterator[Event]:
        while stored := self._store.events.read(self._after, self._run):
            self._after = stored[-1].seq
            for one in stored:
                event = self._translated(one)
                if event is not None:
                    yield event

    def _translated(self, stored: StoredEvent) -> Event | None:
        p = stored.payload
        if stored.kind == "visited":
            values, valid = numbers(p["values"]), np.array(p["valid"], dtype=bool)
            figures = {name: number(value) for name, value in p["figures"].items()}
            return Stepped(p["step"], figures, values, valid, numbers(p["setpoint_a"]), p["seconds"], p["note"])
        if stored.kind == "restored":
            return Restored([restore_line(line) for line in p])
        if stored.kind == "state":
            return Changed(RunState(p["state"]), p["reason"])
        if stored.kind == "result":
            self.result = stored_result(p)
        return None


def restore_line(stored: dict[str, Any]) -> RestoreLine:
    """A line of a restore as it was written down."""
    numbers = {name: number(stored[name]) for name in ("snapshot", "held", "readback")}
    return RestoreLine(**{**stored, **numbers, "outcome": RestoreOutcome(stored["outcome"])})


def stored_result(stored: dict[str, Any]) -> RunResult:
    """A result as it was written down."""
    figures = {name: {k: number(v) for k, v in stored[name].items()} for name in ("initial", "final")}
    arrays = {name: numbers(stored[name]) for name in ("initial_values", "final_values")}
    return RunResult(
        **{
            **stored,
            **figures,
            **arrays,
            "outcome": Outcome(stored["outcome"]),
            "valid": np.array(stored["valid"], dtype=bool),
            "restore": tuple(restore_line(line) for line in stored["restore"]),
        }
    )
