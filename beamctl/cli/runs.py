"""``beamctl runs``: what was done, what goes on, what is owed."""

import getpass
import time
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment
from beamctl.cli.display import result_line
from beamctl.cli.follow import Follower
from beamctl.cli.rows import make_rows
from beamctl.errors import StoreConflictError
from beamctl.run.orders import HINTS, NEEDS
from beamctl.run.replay import replay as replay_run
from beamctl.store.open import Store, open_store
from beamctl.store.runs import Run
from beamctl.store.states import RunState, Verb
from beamctl.wiring.courses import course_of
from beamctl.wiring.kit import Choice

runs_app = typer.Typer(help="Runs: list, show, watch, command, restore, replay.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
RunNumber = Annotated[int, typer.Argument(help="Number of the run; see: beamctl runs list.")]
Url = Annotated[
    str | None, typer.Option("--store", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [BEAMCTL_STORE]")
]
GOOD = (RunState.ACCEPTED, RunState.RESTORED)
BAD = (RunState.CONFLICT, RunState.HALTED, RunState.FAULT, RunState.UNKNOWN)
ANSWER_S = 10.0
"""how long a command waits to be taken"""


@runs_app.command("list")
def list_runs(
    context: typer.Context,
    section: Annotated[str | None, typer.Option(help="Of one section only, for example cafe2-cm1.")] = None,
    state: Annotated[RunState | None, typer.Option(help="In one state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    store: Url = None,
) -> None:
    """List the latest runs: where each is, how it ended, what is owed."""
    with _open(context, store) as opened:
        runs = opened.runs.list(section=section, state=state, limit=limit)
    console = Console(highlight=False)
    if not runs:
        console.print("no runs yet: beamctl tune begins one")
        return
    tasks, people = (max(map(len, column)) for column in zip(*((r.task, r.principal) for r in runs), strict=True))
    console.print(Text(f"{'run':>5}  {'task':{tasks}}  {'by':{people}}  {'started':14}  {'took':>7}  state", "bold"))
    for run in runs:
        console.print(
            Text(f"{run.id:>5}  {run.task:{tasks}}  {run.principal:{people}}  {_clock(run.started)}  {_took(run):>7}  ")
            + _state(run.state) + (f", {run.outcome}" if run.outcome not in ("", run.state.value) else "")
        )  # fmt: skip
        if run.reason:
            console.print(Padding(Text(run.reason, "dim"), (0, 0, 0, 7)))
    for run in runs:
        if run.ended is None and run.state in HINTS:
            hint = HINTS[run.state].format(run=run.id)
            console.print(Text(f"run {run.id} is {run.state.value}, {run.section} waits: {hint}", "bold red"))


@runs_app.command()
def show(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Show one run: every step, every put, what became of each setpoint."""
    console = Console(highlight=False)
    with _open(context, store) as opened:
        found = opened.runs.get(run)
        intents = opened.journal.of_run(run)
        restored = [e for e in opened.events.read(run=run, limit=100_000) if e.kind == "restored"]
        Follower(opened, run, deployment(context).kit(found.task)).show_so_far(console)
    console.print(f"run {found.id}, {found.task} by {found.agent}, asked for by {found.principal}")
    console.print(Text.assemble("state: ", _state(found.state), f" {found.outcome}: {found.reason}"))
    table = Table(title=f"{len(intents)} puts", title_justify="left")
    for column in ("group", "PV", "old A", "new A", "outcome", "held A"):
        table.add_column(column, justify="left" if column in ("PV", "outcome") else "right")
    for i in intents:
        table.add_row(
            str(i.seq), i.pv, f"{i.old:.3f}", f"{i.new:.3f}",
            "open" if i.outcome is None else i.outcome.value, f"{i.held:.3f}",
        )  # fmt: skip
    console.print(table)
    for event in restored:
        for line in event.payload:
            console.print(f"{line['setpoint_pv']}: {line['outcome']} {line['message']}".rstrip())


@runs_app.command()
def watch(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Follow a run until it ends; leaving with Ctrl-C does not disturb it."""
    console = Console(highlight=False)
    with _open(context, store) as opened:
        found = opened.runs.get(run)
        kit = deployment(context).kit(found.task)
        result = Follower(opened, run, kit).follow(console)
    if result is not None:
        console.print(result_line(result, make_rows(kit, None)))


@runs_app.command()
def replay(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Send the stored samples of a run through the same code again; exit code 1 where any decision differs."""
    with _open(context, store) as opened:
        found = opened.runs.get(run)
        kit = deployment(context).kit(found.task)
        report = replay_run(opened, run, kit.layout(), lambda choice: course_of(opened, kit, Choice(**choice))[1])
    for line in report.lines:
        typer.echo(line)
    if not report.is_identical:
        raise typer.Exit(EXIT_NOT_REACHED)


@runs_app.command()
def pause(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Hold after the present step; nothing is written until it is resumed."""
    _command(context, run, Verb.PAUSE, store)


@runs_app.command()
def resume(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Let a paused run go on."""
    _command(context, run, Verb.RESUME, store)


@runs_app.command()
def accept(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """End a run and keep the best setting; in review: keep what is there."""
    _command(context, run, Verb.ACCEPT, store)


@runs_app.command()
def abort(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """End a run and restore what it found."""
    _command(context, run, Verb.ABORT, store)


@runs_app.command()
def halt(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Freeze a run: nothing is written any more, not even a restore."""
    _command(context, run, Verb.HALT, store)


@runs_app.command()
def restore(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Bring back what a halted or failed run has left behind; what others have set since is left alone."""
    _command(context, run, Verb.RESTORE, store)


@runs_app.command()
def leave(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """In a conflict: leave everything as it is, ours too."""
    _command(context, run, Verb.LEAVE, store)


@runs_app.command()
def takeover(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """In a conflict: what somebody else has set is the run's own base from now on, and it goes on."""
    _command(context, run, Verb.TAKEOVER, store)


@runs_app.command()
def clear(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Take note of a halted or failed run; writes nothing, and the section is free again."""
    _command(context, run, Verb.CLEAR, store)


def _command(context: typer.Context, run: int, verb: Verb, url: str | None) -> None:
    """Send a command and wait until the control process has taken it."""
    with _open(context, url) as opened:
        state = opened.runs.get(run).state
        if state not in NEEDS.get(verb, [state]):
            needed = " or ".join(s.value for s in NEEDS[verb])
            raise StoreConflictError(f"run {run} is {state.value}; {verb.value} is for a run that is {needed}")
        sent = opened.commands.send(run, verb, getpass.getuser())
        deadline = time.monotonic() + ANSWER_S
        with opened.watch() as watch:
            while any(command.id == sent for command in opened.commands.pending(run)):
                if time.monotonic() > deadline:
                    raise StoreConflictError(
                        f"{verb.value} for run {run} is written down, but no control process has taken it within "
                        f"{ANSWER_S:g} s: is beamctl operate running?"
                    )
                watch.wait(0.2)
        typer.echo(f"run {run}: {verb.value} taken; now {opened.runs.get(run).state.value}")


def _open(context: typer.Context, url: str | None) -> Store:
    return open_store(url or deployment(context).settings.store)


def _clock(time_: datetime) -> str:
    return time_.astimezone().strftime("%m-%d %H:%M:%S")


def _took(run: Run) -> str:
    if run.ended is None:
        return "-"
    seconds = (run.ended - run.started).total_seconds()
    return f"{seconds:.0f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _state(state: RunState) -> Text:
    colour = "green" if state in GOOD else "bold red" if state in BAD else "yellow"
    return Text(state.value, colour)
