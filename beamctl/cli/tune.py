"""``beamctl tune``: one guarded run over Channel Access."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beamctl.cli.app import EXIT_USAGE, app, deployment, fail, is_remote
from beamctl.cli.carry_out import carry_out, is_by_control, requested
from beamctl.cli.display import result_line
from beamctl.cli.objects import as_object, head_of, nothing_done
from beamctl.cli.target import Target, TargetMm, TargetTransmission
from beamctl.cli.terms import Report, Terms, exit_code
from beamctl.errors import BeamControlError, EngineError
from beamctl.store.open import open_store
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

Algorithm = Annotated[str | None, typer.Option(help="Who proposes; beamctl tasks lists who can. [the task's first]")]
AgentName = Annotated[
    str | None, typer.Option(help="Trained agent for tbsac; see: beamctl agents list. [the task's own]")
]


@app.command()
def tune(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What to tune; see: beamctl tasks.")],
    algorithm: Algorithm = None,
    agent: AgentName = None,
    target_mm: TargetMm = None,
    target_transmission: TargetTransmission = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Budget instead of the task's.")] = None,
    step_percent: Annotated[
        float | None,
        typer.Option(min=0.1, max=100, help="Largest step, % of a knob's interval, where below the machine's own."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of algorithms that draw numbers.")] = 0,
    advise: Annotated[bool, typer.Option("--advise", help="Propose the next step, write nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The same as a run of the control process, which stays in the record.")
    ] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Wait at the end for accept or abort, and in conflicts for a decision.")
    ] = False,
    approval: Annotated[
        bool, typer.Option("--approval", help="Every step waits until somebody approves it: beamctl runs approve.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run, or only ask for it.")] = True,
    wait_for_control: Annotated[
        bool | None,
        typer.Option(
            "--wait-for-control/--refuse",
            help="Where no control process is: wait for one, or do not ask. [--server: wait; else: carried out here]",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="One line for the record.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture of the run, currents or RMS per step, to this .png file.")
    ] = None,
) -> None:
    """Tune a section over Channel Access, behind limits, verification and restore.

    Where a control process (beamctl operate) owns the store, the run is its; else it is carried out here; with --server
    a service is asked for it. Whichever way, every write is in the store before it is sent: see beamctl runs.

    The present settings are remembered before the first write. On failure, Ctrl-C or SIGTERM they are restored, and
    every PV is accounted for; with --server Ctrl-C ends the watching and not the run. Orbit tasks end when two
    independent measurements are below the target; transmission tasks use their whole budget and end at the setting
    with the most current behind the RFQ.

    Exit code: 0 goal reached (--no-watch: asked for), 1 not reached or failed, 2 wrong usage or the machine is not fit
    to be tuned, 3 advice given, 130 not watched any longer.
    """
    target = Target(target_mm, target_transmission)
    choice = Choice(algorithm, agent, None, max_steps, step_percent, seed)
    terms, report = Terms(dry_run, review, approval, wait_for_control, note), Report(watch, as_json, plot)
    if not is_remote(context):
        raise typer.Exit(tune_here(deployment(context), task, choice, target, terms, report, advise=advise))
    from beamctl.cli.remote import advice as advice_there
    from beamctl.cli.remote import tune as there

    if advise:
        asked = [algorithm] if algorithm else None
        raise typer.Exit(advice_there.advise(context, task, asked, agent, target, as_json=as_json))
    raise typer.Exit(there.tune(context, task, choice, target, terms, report))


def tune_here(
    d: Deployment, task: str, choice: Choice, target: Target, terms: Terms, report: Report, *, advise: bool = False
) -> int:
    """Carry it out, or have the control process of the store do it; the exit code."""
    console = Console(highlight=False)
    kit, is_orbit = d.kit(task), task in d.orbit_tasks
    choice = replace(choice, target=target.of(task, is_orbit=is_orbit))
    if not report.watch and not advise:
        return _ask_only(d, console, task, choice, terms)
    asked = head_of(task, kit, choice)
    try:
        done = carry_out(d, task, choice, None if report.as_json else console, advise=advise, terms=terms)
    except EngineError as error:
        if report.as_json:
            typer.echo(json.dumps(nothing_done(asked, error, is_orbit=is_orbit)))
        fail(error)
        return EXIT_USAGE
    plot = report.plot if done.advice is None else None
    if plot is not None:
        from beamctl.cli.pictures import plot_steps

        plot_steps(done.steps, plot, f"{kit.facts.title}: {done.proposer}")
    if report.as_json:
        typer.echo(json.dumps(as_object(asked, done.result, done.advice, done.run or None)))
    else:
        console.print(result_line(done.result, done.rows))
        if plot is not None:
            console.print(f"written: {plot}")
    return exit_code(done.result, done.advice)


def _ask_only(d: Deployment, console: Console, task: str, choice: Choice, terms: Terms) -> int:
    """Leave a request for the control process.

    Raises:
        BeamControlError: there is none, and nobody would carry it out.
    """
    with open_store(d.settings.store) as store:
        if not is_by_control(store, terms):
            raise BeamControlError("--no-watch needs a control process that carries the run out: beamctl operate")
        request = store.requests.submit(requested(d, task, choice, terms))
    console.print(f"request {request.id} is written down; follow it with: beamctl runs list")
    return 0
