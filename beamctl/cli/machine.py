"""``beamctl tasks`` and ``beamctl machine``: what is described."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import app, deployment
from beamctl.machine.description import MachineDescription
from beamctl.machine.loader import load_machine

machine_app = typer.Typer(help="Check machine descriptions.", no_args_is_help=True)
app.add_typer(machine_app, name="machine")


@app.command()
def tasks(context: typer.Context) -> None:
    """List what can be tuned."""
    d = deployment(context)
    table = Table(title=f"{d.machine.title}, {d.ion.name}", title_justify="left")
    for column in ("task", "what", "section", "correctors", "BPMs", "target", "budget"):
        table.add_column(column, overflow="fold")
    for name, task in d.machine.tasks.items():
        table.add_row(
            name, task.title, task.section, str(len(task.correctors)), str(len(task.bpms)),
            f"{task.target_mm:g} mm", f"{task.max_steps} steps",
        )  # fmt: skip
    Console().print(table)


@machine_app.command()
def check(
    file: Annotated[str, typer.Argument(help="Name of a description that comes with beamctl, or a .yaml file.")],
) -> None:
    """Report every fault of a description, with line and field."""
    machine = load_machine(file)
    typer.echo(f"{machine.name}: {machine.kind}, {len(machine.tasks)} tasks, no faults")


@machine_app.command()
def schema() -> None:
    """Print the JSON Schema of machine descriptions, for editors."""
    typer.echo(json.dumps(MachineDescription.model_json_schema(), indent=1))
