"""Runs for people, wherever they come from: the store, or the service."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from beamctl.run.events import Restored
from beamctl.run.orders import HINTS
from beamctl.store.states import RunState

GOOD = (RunState.ACCEPTED, RunState.RESTORED)
BAD = (RunState.CONFLICT, RunState.HALTED, RunState.FAULT, RunState.UNKNOWN)


class Listed(Protocol):
    """What is shown of a run."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def task(self) -> str:
        """What it tunes."""

    @property
    def section(self) -> str:
        """Where."""

    @property
    def agent(self) -> str:
        """Who proposes."""

    @property
    def principal(self) -> str:
        """Who asked for it."""

    @property
    def state(self) -> RunState:
        """Where it is now."""

    @property
    def outcome(self) -> str:
        """In a word; empty before its end."""

    @property
    def reason(self) -> str:
        """For the state."""

    @property
    def started(self) -> datetime:
        """When."""

    @property
    def ended(self) -> datetime | None:
        """When; None: not yet."""


def print_runs(console: Console, runs: Sequence[Listed]) -> None:
    """A list, and what waits for a person."""
    if not runs:
        console.print("no runs yet: beamctl tune begins one")
        return
    tasks, people = (max(map(len, column)) for column in zip(*((r.task, r.principal) for r in runs), strict=True))
    console.print(Text(f"{'run':>5}  {'task':{tasks}}  {'by':{people}}  {'started':14}  {'took':>7}  state", "bold"))
    for run in runs:
        console.print(
            Text(f"{run.id:>5}  {run.task:{tasks}}  {run.principal:{people}}  {_clock(run.started)}  {_took(run):>7}  ")
            + state_text(run.state) + (f", {run.outcome}" if run.outcome not in ("", run.state.value) else "")
        )  # fmt: skip
        if run.reason:
            console.print(Padding(Text(run.reason, "dim"), (0, 0, 0, 7)))
    for run in runs:
        if run.ended is None and run.state in HINTS:
            hint = HINTS[run.state].format(run=run.id)
            console.print(Text(f"run {run.id} is {run.state.value}, {run.section} waits: {hint}", "bold red"))


def print_standing(console: Console, run: Listed) -> None:
    """Where one run is."""
    console.print(f"run {run.id}, {run.task} by {run.agent}, asked for by {run.principal}")
    console.print(Text.assemble("state: ", state_text(run.state), f" {run.outcome}: {run.reason}"))


def puts_table(puts: Iterable[tuple[int, str, float, float, str, float | None]]) -> Table:
    """Everything that was written: group, PV, old, new, outcome, held, all in A."""
    rows = [
        (str(group), pv, f"{old:.3f}", f"{new:.3f}", outcome or "open", "nan" if held is None else f"{held:.3f}")
        for group, pv, old, new, outcome, held in puts
    ]
    table = Table(title=f"{len(rows)} puts", title_justify="left")
    for column in ("group", "PV", "old A", "new A", "outcome", "held A"):
        table.add_column(column, justify="left" if column in ("PV", "outcome") else "right")
    for row in rows:
        table.add_row(*row)
    return table


def print_restored(console: Console, restored: Restored | None) -> None:
    """What became of every setpoint, a line each."""
    for line in () if restored is None else restored.lines:
        console.print(f"{line.setpoint_pv}: {line.outcome.value} {line.message}".rstrip())


def state_text(state: RunState) -> Text:
    """A state in its colour."""
    colour = "green" if state in GOOD else "bold red" if state in BAD else "yellow"
    return Text(state.value, colour)


def _clock(time_: datetime) -> str:
    return time_.astimezone().strftime("%m-%d %H:%M:%S")


def _took(run: Listed) -> str:
    if run.ended is None:
        return "-"
    seconds = (run.ended - run.started).total_seconds()
    return f"{seconds:.0f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"
