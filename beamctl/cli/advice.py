"""``beamctl advice``: what would be done from the present reading."""

from typing import Annotated

import typer

from beamctl.cli.app import app, deployment, is_remote
from beamctl.cli.target import Target, TargetMm, TargetTransmission
from beamctl.cli.terms import PLAIN, Report
from beamctl.cli.tune import AgentName, tune_here
from beamctl.errors import BeamControlError
from beamctl.wiring.kit import Choice


@app.command()
def advice(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What to tune; see: beamctl tasks.")],
    algorithm: Annotated[
        list[str] | None, typer.Option(help="Who is asked; may be repeated with --server. [default and reference]")
    ] = None,
    agent: AgentName = None,
    target_mm: TargetMm = None,
    target_transmission: TargetTransmission = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
) -> None:
    """Say what would be done from the present reading; nothing is written.

    With --server several algorithms are asked and compared; without, the same as beamctl tune TASK --advise.

    Exit code: 0 goal reached already, 2 no fresh reading or not fit to be tuned, 3 advice given.
    """
    target = Target(target_mm, target_transmission)
    asked = algorithm or []
    if is_remote(context):
        from beamctl.cli.remote import advice as there

        raise typer.Exit(there.advise(context, task, asked, agent, target, as_json=as_json))
    if len(asked) > 1:
        raise BeamControlError("several algorithms are compared by a service only: --server URL")
    choice = Choice(asked[0] if asked else None, agent)
    raise typer.Exit(tune_here(deployment(context), task, choice, target, PLAIN, Report(as_json=as_json), advise=True))
