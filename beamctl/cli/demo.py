"""``beamctl demo``: a soft machine with errors that nobody knows, tuned over Channel Access."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment
from beamctl.cli.display import result_line
from beamctl.cli.objects import Asked, as_object
from beamctl.cli.tune import Done, tune_once
from beamctl.errors import ChannelConnectionError
from beamctl.run.events import Outcome
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import epics_engine
from beamctl.wiring.kit import Choice

START_LIMIT_S = 30.0


@app.command()
def demo(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option(min=0, help="Machine of the demonstration. [fresh]")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Error scenario of the soft machines; see beamctl ioc --help.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for summary.json and the pictures.")] = Path("var/demo"),
) -> None:
    """Start a soft IOC, tune every section over Channel Access, show before and after, stop what was started."""
    d = deployment(context)
    console = Console(highlight=False)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    console.print(f"soft machines {', '.join(m.title for m in d.machines)}: seed {chosen}")
    done: dict[str, Done] = {}
    with soft_ioc(d, scenario, chosen):
        engine = epics_engine()
        try:
            for task in d.demonstrated:
                done[task] = tune_once(d, task, Choice(), console, engine=engine)
                console.print(result_line(done[task].result, done[task].rows))
                if done[task].result.outcome is Outcome.ABORTED:
                    break
        finally:
            engine.close()
    out.mkdir(parents=True, exist_ok=True)
    objects = [as_object(Asked(task, d.kit(task), Choice()), one.result) for task, one in done.items()]
    (out / "summary.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    pictures = _draw(d, done, out, f"seed {chosen}")
    console.print(_table(done))
    console.print(f"written: {', '.join(map(str, (out / 'summary.json', *pictures)))}")
    if any(o["outcome"] != "reached" for o in objects):
        raise typer.Exit(EXIT_NOT_REACHED)


@contextmanager
def soft_ioc(d: Deployment, scenario: str | None, seed: int) -> Iterator[None]:
    """A soft IOC on a free port of loopback; the environment of this process points to it.

    Raises:
        ChannelConnectionError: it did not start; its output is in the message.
    """
    command = [
        sys.executable, "-m", "ioc", "--prefix", d.settings.prefix,
        "--seed", str(seed), "--port", "0", "--die-with-parent",
    ]  # fmt: skip
    for name in d.settings.machine:
        command += ["--machine", name]
    if scenario is not None:
        command += ["--scenario", scenario]
    if d.settings.ion is not None:
        command += ["--ion", d.settings.ion]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_CA")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean)
    try:
        ready = _wait_until_ready(process)
        os.environ.update(
            EPICS_CA_ADDR_LIST="127.0.0.1",
            EPICS_CA_AUTO_ADDR_LIST="NO",
            EPICS_CA_SERVER_PORT=str(ready["port"]),
            EPICS_CA_REPEATER_PORT=str(ready["repeater_port"]),
        )
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_until_ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    lines: list[str] = []
    deadline = time.monotonic() + START_LIMIT_S
    for line in process.stdout or ():
        if line.startswith("READY "):
            ready: dict[str, Any] = json.loads(line.removeprefix("READY "))
            return ready
        lines.append(line)
        if time.monotonic() > deadline:
            break
    raise ChannelConnectionError(f"the soft IOC did not start:\n{''.join(lines)}")


def _draw(d: Deployment, done: dict[str, Done], out: Path, subtitle: str) -> list[Path]:
    """A picture of all orbits together, and one of each other task."""
    from beamctl.cli.pictures import plot_orbits, plot_steps

    pictures: list[Path] = []
    orbits = {task: one.result for task, one in done.items() if task in d.orbit_tasks}
    if orbits:
        pictures.append(out / "orbit.png")
        plot_orbits({task: d.orbit(task) for task in orbits}, orbits, pictures[-1], subtitle)
    for task, one in done.items():
        if task not in orbits:
            pictures.append(out / f"{task}.png")
            plot_steps(one.steps, pictures[-1], f"{d.kit(task).facts.title}: {one.proposer} ({subtitle})")
    return pictures


def _table(done: dict[str, Done]) -> Table:
    table = Table(title="before and after", title_justify="left")
    for column in ("task", "outcome", "as found", "tuned", "steps", "writes"):
        table.add_column(column, justify="right" if column in ("steps", "writes") else "left")
    for task, one in done.items():
        r = one.result
        table.add_row(
            task, r.outcome.value, one.rows.words(r.initial), one.rows.words(r.final), str(r.steps), str(r.writes)
        )
    return table
