"""``beamctl runs``: what was done, what goes on, what is owed."""

import getpass
import time
from typing import Annotated

import typer
from rich.console import Console

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment, is_remote
from beamctl.cli.display import result_line
from beamctl.cli.follow import Follower
from beamctl.cli.rows import make_rows
from beamctl.cli.run_tables import print_restored, print_runs, print_standing, puts_table
from beamctl.errors import BeamControlError, StoreConflictError
from beamctl.run.orders import NEEDS
from beamctl.run.replay import replay as replay_run
from beamctl.store.open import Store, open_store
from beamctl.store.states import RunState, Verb
from beamctl.wiring.courses import course_of
from beamctl.wiring.kit import Choice

runs_app = typer.Typer(help="Runs: list, show, watch, command, restore, replay.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
RunNumber = Annotated[int, typer.Argument(help="Number of the run; see: beamctl runs list.")]
Url = Annotated[
    str | None, typer.Option("--store", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [BEAMCTL_STORE]")
]
ANSWER_S = 10.0
"""how long a command waits to be taken"""


@runs_app.command("list")
def list_runs(
    context: typer.Context,
    section: Annotated[str | None, typer.Option(help="Of one section only, for example cafe2-cm1.")] = None,
    state: Annotated[RunState | None, typer.Option(help="In one state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    store: Url = None,
) -> None:
    """List the latest runs: where each is, how it ended, what is owed."""
    if is_remote(context, store):
        from beamctl.cli.remote import runs as there

        return there.list_runs(context, section, state, limit)
    with _open(context, store) as opened:
        runs = opened.runs.list(section=section, state=state, limit=limit)
    return print_runs(Console(highlight=False), runs)


@runs_app.command()
def show(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Show one run: every step, every put, what became of each setpoint."""
    if is_remote(context, store):
        from beamctl.cli.remote import runs as there

        return there.show(context, run)
    console = Console(highlight=False)
    with _open(context, store) as opened:
        found = opened.runs.get(run)
        intents = opened.journal.of_run(run)
        follower = Follower(opened, run, deployment(context).kit(found.task))
        follower.show_so_far(console)
    print_standing(console, found)
    console.print(
        puts_table([(i.seq, i.pv, i.old, i.new, i.outcome.value if i.outcome else "", i.held) for i in intents])
    )
    return print_restored(console, follower.story.restored)


@runs_app.command()
def watch(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Follow a run until it ends; leaving with Ctrl-C does not disturb it."""
    if is_remote(context, store):
        from beamctl.cli.remote import runs as there

        return there.watch(context, run)
    console = Console(highlight=False)
    with _open(context, store) as opened:
        found = opened.runs.get(run)
        kit = deployment(context).kit(found.task)
        result = Follower(opened, run, kit).follow(console)
    if result is not None:
        console.print(result_line(result, make_rows(kit, None)))
    return None


@runs_app.command()
def replay(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Send the stored samples of a run through the same code again; exit code 1 where any decision differs."""
    if is_remote(context, store):
        raise BeamControlError("replay needs the store itself: say --store instead of --server")
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


@app.command()
@runs_app.command()
def abort(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """End a run and restore what it found."""
    _command(context, run, Verb.ABORT, store)


@app.command()
@runs_app.command()
def halt(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Freeze a run: nothing is written any more, not even a restore."""
    _command(context, run, Verb.HALT, store)


@runs_app.command()
def approve(context: typer.Context, run: RunNumber, store: Url = None) -> None:
    """Let the step that waits for approval be written."""
    _command(context, run, Verb.APPROVE, store)


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
    if is_remote(context, url):
        from beamctl.cli.remote import runs as there

        there.command(context, run, verb)
        return
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
