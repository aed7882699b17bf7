"""``beamctl demo``: a soft machine with errors that nobody knows, corrected over Channel Access."""

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
from beamctl.cli.tune import as_object, tune_once
from beamctl.errors import ChannelConnectionError
from beamctl.run.events import Outcome, RunResult
from beamctl.wiring import DEFAULT_AGENT, Deployment, epics_engine

START_LIMIT_S = 30.0


@app.command()
def demo(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option(min=0, help="Machine of the demonstration. [fresh]")] = None,
    scenario: Annotated[str, typer.Option(help="Error scenario of the soft machine.")] = "err5",
    out: Annotated[Path, typer.Option(help="Folder for summary.json and orbit.png.")] = Path("var/demo"),
) -> None:
    """Start a soft IOC, correct every section over Channel Access, show before and after, stop what was started."""
    d = deployment(context)
    console = Console(highlight=False)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    console.print(f"soft machine {d.machine.title}: scenario {scenario}, seed {chosen}")
    results: dict[str, RunResult] = {}
    with soft_ioc(d, scenario, chosen):
        engine = epics_engine()
        try:
            for task in d.machine.tasks:
                results[task], _ = tune_once(d, task, "tbsac", DEFAULT_AGENT, None, None, console, engine=engine)
                console.print(result_line(results[task]))
                if results[task].outcome is Outcome.ABORTED:
                    break
        finally:
            engine.close()
    out.mkdir(parents=True, exist_ok=True)
    objects = [as_object(task, "tbsac", DEFAULT_AGENT, result) for task, result in results.items()]
    (out / "summary.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    plot_orbits(d, results, out / "orbit.png", f"scenario {scenario}, seed {chosen}")
    console.print(_table(objects))
    console.print(f"written: {out / 'summary.json'}, {out / 'orbit.png'}")
    if any(o["outcome"] != "reached" for o in objects):
        raise typer.Exit(EXIT_NOT_REACHED)


@contextmanager
def soft_ioc(d: Deployment, scenario: str, seed: int) -> Iterator[None]:
    """A soft IOC on a free port of loopback; the environment of this process points to it.

    Raises:
        ChannelConnectionError: it did not start; its output is in the message.
    """
    command = [
        sys.executable, "-m", "ioc", "--machine", d.settings.machine, "--prefix", d.settings.prefix,
        "--scenario", scenario, "--seed", str(seed), "--port", "0", "--die-with-parent",
    ]  # fmt: skip
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


def plot_orbits(d: Deployment, results: dict[str, RunResult], path: Path, subtitle: str) -> None:
    """Orbit before and after, both planes, over all sections along the beam."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(10, 5.2), sharex=True, sharey=True)
    labels: list[str] = []
    for task, result in results.items():
        names = d.task(task).bpms
        z = [len(labels) + i for i in range(len(names))]
        for plane, ax in enumerate(axes):
            for orbit, style in (
                (result.initial_orbit_mm, {"color": "#b3261e", "marker": "s", "label": "as found"}),
                (result.final_orbit_mm, {"color": "#0b6e4f", "marker": "o", "label": "corrected"}),
            ):
                ax.plot(z, orbit[plane::2], linewidth=1.8, markersize=5, **style)
            change = f"{result.initial_rms_mm:.2f} → {result.final_rms_mm:.2f} mm"
            text = f"{d.task(task).section.upper()}: {change}, {result.steps} steps"
            if plane == 0:
                ax.annotate(
                    text, (0.5 * (z[0] + z[-1]), 1.03), xycoords=("data", "axes fraction"), ha="center", fontsize=9
                )
            ax.axvline(z[0] - 0.5, color="#c7ced6", linewidth=0.8)
        labels += names
    for ax, plane_name in zip(axes, ("x", "y"), strict=True):
        ax.axhspan(-0.5, 0.5, color="#0b6e4f", alpha=0.10, linewidth=0)  # the target, for the eye
        ax.axhline(0, color="#5f6b76", linewidth=0.6)
        ax.set_ylabel(f"{plane_name} (mm)")
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles[:2], texts[:2], loc="lower center", ncols=2, frameon=False)
    axes[1].set_xticks(range(len(labels)), labels, rotation=45, fontsize=8)
    figure.suptitle(f"Orbit correction by TBSAC over Channel Access, RMS ({subtitle})", fontsize=11)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _table(objects: list[dict[str, Any]]) -> Table:
    table = Table(title="before and after", title_justify="left")
    for column in ("task", "outcome", "as found mm", "corrected mm", "steps", "writes"):
        table.add_column(column, justify="left" if column in ("task", "outcome") else "right")
    for o in objects:
        table.add_row(
            o["task"], o["outcome"], f"{o['initial']['rms_mm']:.3f}", f"{o['final']['rms_mm']:.3f}",
            str(o["steps"]), str(o["writes"]),
        )  # fmt: skip
    return table
