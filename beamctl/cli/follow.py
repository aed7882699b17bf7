"""Following a run through the store, by whatever process it is carried out."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rich.console import Console

from beamctl.cli.display import RunDisplay
from beamctl.cli.rows import make_rows
from beamctl.engine.restore import RestoreLine, RestoreOutcome, RestoreReport
from beamctl.run.events import Changed, Event, Held, Outcome, Restored, RunResult, Stepped
from beamctl.run.orders import HINTS, PARKED
from beamctl.run.visits import number, numbers
from beamctl.store.events import Event as StoredEvent
from beamctl.store.leases import section_lease
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.store.states import RequestState, RunState
from beamctl.wiring.kit import TaskKit

LOOK_S = 0.5
ORPHAN = "the control process has ended; the next one, beamctl operate, restores what this run has moved"
WAITING = (RunState.HOLD, RunState.REVIEW, RunState.CONFLICT)


class Follower:
    """One run as events.

    Args:
        store: where it is written down.
        run: its number.
        kit: of its task.

    Attributes:
        steps: every reading so far.
        result: as soon as the run has ended.
    """

    def __init__(self, store: Store, run: int, kit: TaskKit) -> None:
        self._store = store
        self._run = run
        self._kit = kit
        self._after = 0
        self._changed: Changed | None = None
        self._restored: Restored | None = None
        self._since = time.monotonic()
        self._is_orphan = False
        self.steps: list[Stepped] = []
        self.result: RunResult | None = None

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
        if self.result is None and run.snapshot is not None:
            self.result = self._pieced_together(run)
        return self.result

    def _until_the_end(self, show: Callable[[Event], None], look: Callable[[], None]) -> None:
        with self._store.watch() as watch:
            while True:
                run = self._store.runs.get(self._run)
                for event in self._new():
                    if isinstance(event, Stepped):
                        self.steps.append(event)
                    elif isinstance(event, Restored):
                        self._restored = event
                    elif isinstance(event, Changed):
                        self._changed, self._since = event, time.monotonic()
                    show(event)
                if self._is_over(run):
                    return
                self._show_waiting(run, show)
                look()
                watch.wait(LOOK_S)

    def _is_over(self, run: Run) -> bool:
        """Whether it has ended, or its process has left it to a person."""
        if run.ended is not None or run.state not in PARKED:
            return run.ended is not None
        if run.request is not None:
            return self._store.requests.get(run.request).state is not RequestState.CLAIMED
        return self.result is not None or not self._has_owner(run)

    def _show_waiting(self, run: Run, show: Callable[[Event], None]) -> None:
        """Time that passes while nothing happens."""
        if not self._has_owner(run):
            self._since = self._since if self._is_orphan else time.monotonic()
            self._is_orphan = True
            show(Held(ORPHAN, time.monotonic() - self._since))
            return
        self._is_orphan = False
        if self._changed is not None and self._changed.state in WAITING:
            how = f" ({HINTS[run.state].format(run=run.id)})" if run.state in HINTS else ""
            show(Held(self._changed.reason + how, time.monotonic() - self._since))

    def _has_owner(self, run: Run) -> bool:
        """Whether any process is at work on its section."""
        return self._store.leases.is_held(section_lease(run.section))

    def _pieced_together(self, run: Run) -> RunResult:
        """The result of a run whose process ended before it could say."""
        lines = tuple(self._restored.lines) if self._restored is not None else ()
        ends = [self.steps[0].figures, self.steps[-1].figures] if self.steps else [{}, {}]
        nowhere, nothing = np.array([]), np.array([], dtype=bool)
        return RunResult(
            outcome=Outcome.FAILED,
            steps=max((step.step for step in self.steps), default=0),
            initial=ends[0],
            final=dict.fromkeys(ends[1], math.nan),
            restored=bool(lines) and RestoreReport(list(lines)).is_complete,
            writes=len(self._store.journal.of_run(run.id)),
            reason=f"the process that carried it out ended in mid-run, and it was not resumed; {run.reason}",
            initial_values=self.steps[0].values if self.steps else nowhere,
            final_values=np.full_like(self.steps[-1].values, math.nan) if self.steps else nowhere,
            valid=np.zeros_like(self.steps[-1].valid) if self.steps else nothing,
            restore=lines,
        )

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
