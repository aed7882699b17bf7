"""``beamctl tasks`` and ``beamctl machine``: what is described."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import app, deployment
from beamctl.errors import UnknownNameError
from beamctl.machine.loader import KINDS, load_machine

machine_app = typer.Typer(help="Check machine descriptions.", no_args_is_help=True)
app.add_typer(machine_app, name="machine")


@app.command()
def tasks(context: typer.Context) -> None:
    """List what can be tuned, and by whom."""
    d = deployment(context)
    table = Table(title=", ".join(m.title for m in d.machines), title_justify="left")
    for column in ("task", "what", "section", "knobs", "read", "goal", "budget", "algorithms"):
        table.add_column(column, overflow="fold")
    for name in d.tasks:
        kit = d.kit(name)
        f = kit.facts
        table.add_row(
            name, f.title, f"{f.machine} {f.section}", str(f.knobs), f.instruments, f.goal, f"{f.max_steps} steps",
            ", ".join(kit.algorithms),
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
def schema(
    kind: Annotated[str, typer.Argument(help="linac or injector.")] = "linac",
) -> None:
    """Print the JSON Schema of machine descriptions, for editors."""
    if kind not in KINDS:
        raise UnknownNameError("kind of machine", kind, KINDS)
    typer.echo(json.dumps(KINDS[kind][0].model_json_schema(), indent=1))
