"""``beamctl --server URL tasks``."""

import typer
from rich.console import Console

from beamctl.cli.machine import TaskLine, print_tasks
from beamctl.cli.remote.connection import connected


def tasks(context: typer.Context, console: Console) -> None:
    """What the service can be asked for."""
    with connected(context) as client:
        found = client.machine.tasks().tasks
    print_tasks(console, [TaskLine(t.name, t.section, t.knobs, t.goal, t.max_steps, (*t.algorithms,)) for t in found])
