"""``beamctl tune``: one guarded run over Channel Access."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beamctl.cli.app import EXIT_ADVISED, EXIT_NOT_REACHED, EXIT_USAGE, app, deployment, fail
from beamctl.cli.carry_out import Done, carry_out
from beamctl.cli.display import result_line
from beamctl.cli.objects import Asked, as_object, nothing_done
from beamctl.errors import EngineError
from beamctl.run.events import Outcome
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice


@app.command()
def tune(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What to tune; see: beamctl tasks.")],
    algorithm: Annotated[
        str | None, typer.Option(help="Who proposes; beamctl tasks lists who can. [the task's first]")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Trained agent for tbsac; see: beamctl agents list. [the task's own]")
    ] = None,
    target_mm: Annotated[
        float | None, typer.Option(min=0.01, help="Orbit tasks: stop below this RMS instead of the task's.")
    ] = None,
    target_transmission: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.999, help="Transmission tasks: what the end is judged by instead of the task's."),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Budget instead of the task's.")] = None,
    step_percent: Annotated[
        float | None,
        typer.Option(min=0.1, max=100, help="Largest step, % of a knob's interval, where below the machine's own."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of algorithms that draw numbers.")] = 0,
    advise: Annotated[bool, typer.Option("--advise", help="Propose the next step, write nothing.")] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Wait at the end for accept or abort, and in conflicts for a decision.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture of the run, currents or RMS per step, to this .png file.")
    ] = None,
) -> None:
    """Tune a section over Channel Access, behind limits, verification and restore.

    Where a control process (beamctl operate) owns the store, the run is its; else it is carried out here. Either way
    every write is in the store before it is sent: see beamctl runs.

    The present settings are remembered before the first write. On failure, Ctrl-C or SIGTERM they are restored, and
    every PV is accounted for. Orbit tasks end when two independent measurements are below the target; transmission
    tasks use their whole budget and end at the setting with the most current behind the RFQ.

    Exit code: 0 goal reached, 1 not reached or failed, 2 wrong usage or the machine is not fit to be tuned,
    3 advice given.
    """
    d = deployment(context)
    console = Console(highlight=False)
    target = target_mm if target_transmission is None else target_transmission
    _check_target(d, task, target_mm, target_transmission)
    choice = Choice(algorithm, agent, target, max_steps, step_percent, seed)
    asked = Asked(task, d.kit(task), choice)
    try:
        done = carry_out(d, task, choice, console, advise=advise, quiet=as_json, review=review)
    except EngineError as error:
        if as_json:
            typer.echo(json.dumps(nothing_done(asked, error)))
        fail(error)
        raise typer.Exit(EXIT_USAGE) from error
    if plot is not None and not advise:
        from beamctl.cli.pictures import plot_steps

        plot_steps(done.steps, plot, f"{d.kit(task).facts.title}: {done.proposer}")
    if as_json:
        typer.echo(json.dumps(as_object(asked, done.result, done.advice)))
    else:
        console.print(result_line(done.result, done.rows))
        if plot is not None and not advise:
            console.print(f"written: {plot}")
    raise typer.Exit(_exit_code(done))


def _check_target(d: Deployment, task: str, target_mm: float | None, target_transmission: float | None) -> None:
    """A target of the wrong kind is a mistake, not a number to be guessed at."""
    is_orbit = task in d.orbit_tasks
    wrong = target_transmission if is_orbit else target_mm
    if wrong is not None and task in d.tasks:
        right, other = (
            ("--target-mm", "--target-transmission") if is_orbit else ("--target-transmission", "--target-mm")
        )
        raise typer.BadParameter(
            f"{task} has {'an RMS' if is_orbit else 'a transmission'} as its goal: {right}, not {other}"
        )


def _exit_code(done: Done) -> int:
    if done.result.outcome is Outcome.REACHED:
        return 0
    if done.advice is not None:
        return 0 if done.advice.is_reached else EXIT_ADVISED
    return EXIT_NOT_REACHED
