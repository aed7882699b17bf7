"""``beamctl --server URL runs``: runs of a service."""

import typer
from rich.console import Console

from beamctl.cli.app import EXIT_NOT_REACHED
from beamctl.cli.display import result_line
from beamctl.cli.remote.connection import connected
from beamctl.cli.remote.follow import RemoteFollower, scene
from beamctl.cli.remote.watching import leaving
from beamctl.cli.run_tables import print_restored, print_runs, print_standing, puts_table
from beamctl.store.states import RunState, Verb


def list_runs(context: typer.Context, section: str | None, state: RunState | None, limit: int) -> None:
    """The latest ones."""
    with connected(context) as client:
        page = client.runs.list(section=section, state=state, limit=limit)
    print_runs(Console(highlight=False), page.runs)


def show(context: typer.Context, run: int) -> None:
    """One of them: every step, every put."""
    console = Console(highlight=False)
    with connected(context) as client:
        seen = scene(client, run)
        follower = RemoteFollower(client, seen)
        follower.show_so_far(console)
        puts = client.runs.puts(run).puts
    print_standing(console, seen.run)
    console.print(puts_table([(p.group, p.pv, p.old, p.new, p.outcome, p.held) for p in puts]))
    print_restored(console, follower.story.restored)


def watch(context: typer.Context, run: int) -> None:
    """Follow one; Ctrl-C leaves it to go on."""
    console = Console(highlight=False)
    with connected(context) as client:
        seen = scene(client, run)
        with leaving(run):
            _, result = RemoteFollower(client, seen).follow(console)
    if result is not None:
        console.print(result_line(result, seen.rows))


def command(context: typer.Context, run: int, verb: Verb) -> None:
    """Tell a run something.

    Raises:
        ServiceError: it means nothing in the state of the run.
    """
    with connected(context) as client:
        told = client.runs.command(run, verb)
    typer.echo(f"run {run}: {verb.value} {told.message}")
    if not told.control_is_alive:
        raise typer.Exit(EXIT_NOT_REACHED)
