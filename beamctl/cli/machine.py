"""``beamctl tasks`` and ``beamctl machine``: what is described."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from beamctl.cli.app import app, deployment, is_remote
from beamctl.errors import MachineDescriptionError, UnknownNameError
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import KINDS, known_machines, load_machine
from beamctl.wiring.kit import default_output

machine_app = typer.Typer(help="Check machine descriptions, and draw what they describe.", no_args_is_help=True)
app.add_typer(machine_app, name="machine")


@dataclass(frozen=True)
class TaskLine:
    """What can be asked for, in a line."""

    name: str
    section: str
    knobs: int
    goal: str
    max_steps: int
    algorithms: tuple[str, ...]


@app.command()
def tasks(context: typer.Context) -> None:
    """List what can be tuned, and by whom."""
    console = Console(highlight=False)
    if is_remote(context):
        from beamctl.cli.remote import tasks as there

        there.tasks(context, console)
        return
    d = deployment(context)
    kits = [(d.kit(name), d.kit(name).facts) for name in d.tasks]
    print_tasks(console, [TaskLine(f.name, k.key, f.knobs, f.goal, f.max_steps, k.algorithms) for k, f in kits])


def print_tasks(console: Console, lines: list[TaskLine]) -> None:
    """A table, and below it who can propose."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "section", "knobs", "goal", "steps"):
        table.add_column(column, no_wrap=True)
    by_algorithms: dict[tuple[str, ...], list[str]] = {}
    for line in lines:
        table.add_row(line.name, line.section, str(line.knobs), line.goal, str(line.max_steps))
        by_algorithms.setdefault(line.algorithms, []).append(line.name)
    console.print(table)
    for algorithms, names in by_algorithms.items():
        console.print(f"--algorithm for {', '.join(names)}: {', '.join(algorithms)}")


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


@machine_app.command()
def plots(
    file: Annotated[str, typer.Argument(help="Name of an injector that comes with beamctl, or a .yaml file.")],
    out: Annotated[Path | None, typer.Option(help="Folder. [var/plots/NAME]")] = None,
    grid: Annotated[int, typer.Option(min=3, help="Settings per solenoid in the landscape.")] = 45,
) -> None:
    """Draw an injector: RFQ cells, beam and acceptance at the entrance, solenoid landscape, losses, vane voltage.

    All from the model without errors, in some 10 s of processor time. The cell table is also written as cells.csv.
    """
    machine = load_machine(file)
    if not isinstance(machine, InjectorDescription):
        injectors = [name for name in known_machines() if isinstance(load_machine(name), InjectorDescription)]
        raise MachineDescriptionError(
            [f"{machine.name} is of kind {machine.kind}; there are plots of injectors: {', '.join(injectors)}"]
        )
    from beamctl.training.injector_plots import write_plots

    with Progress(console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("solenoid landscape", total=None)
        written = write_plots(
            machine, out or default_output("plots", machine.name), grid=grid,
            progress=lambda done, total: bar.update(row, completed=done, total=total),
        )  # fmt: skip
    for path in written:
        typer.echo(str(path))
