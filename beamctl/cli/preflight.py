"""``beamctl preflight``: is the section wired as it is described?"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment, errors, is_remote
from beamctl.cli.carry_out import carry_out
from beamctl.cli.display import result_line
from beamctl.run.events import Outcome
from beamctl.run.preflight import Finding
from beamctl.store.open import open_store
from beamctl.task.identification import Verdict
from beamctl.task.orbit import Array
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.orbit import PREFLIGHT
from beamctl.wiring.preflight import stored_findings


@dataclass(frozen=True)
class Checked:
    """A complete preflight; fields as :class:`beamctl.run.preflight.Findings`."""

    task: str
    title: str
    run: int
    noise_mm: float
    table: tuple[Finding, ...]
    correctors: tuple[str, ...]
    channels: tuple[str, ...]
    expected_mm_per_a: Array
    measured_mm_per_a: Array

    @property
    def faults(self) -> list[Finding]:
        """The lines that are not good."""
        return [line for line in self.table if line.verdict is not Verdict.GOOD]


@app.command()
def preflight(
    context: typer.Context,
    section: Annotated[str, typer.Argument(help="An orbit task, or its section: cm1-orbit, cm1 or cafe2-cm1.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the tables.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw expected and measured response into this .png file.")] = None,
) -> None:
    """Kick every corrector a little, compare the response with the model, restore.

    Finds reversed, swapped, crossed, weak and dead correctors, and dead or reversed BPM channels. Later runs of the
    section work in the coordinates that were found, for as long as the description stays the same.

    Exit code: 0 wired as described, 1 faults found or not complete, 2 wrong usage or not fit to be checked.
    """
    console = Console(highlight=False)
    if is_remote(context):
        from beamctl.cli.remote import preflight as there

        checked = there.preflight(context, section, None if as_json else console)
    else:
        checked = _preflight_here(deployment(context), section, None if as_json else console)
    if checked is None:
        raise typer.Exit(EXIT_NOT_REACHED)
    if as_json:
        typer.echo(json.dumps(_as_object(checked)))
    else:
        console.print(_table(checked))
        faults = ", ".join(f"{f.name} {f.verdict.value}" for f in checked.faults)
        console.print(Text(f"run {checked.run}: found {faults}", "bold yellow") if faults else
                      Text(f"run {checked.run}: wired as described", "bold green"))  # fmt: skip
    if plot is not None:
        from beamctl.cli.pictures import plot_response

        plot_response(checked, plot, f"{checked.title}, preflight of run {checked.run}")
        console.print(f"written: {plot}")
    if checked.faults:
        raise typer.Exit(EXIT_NOT_REACHED)


def _preflight_here(d: Deployment, section: str, console: Console | None) -> Checked | None:
    """Over the store of this host; None: not complete, and said so."""
    kit = d.orbit_section(section)
    done = carry_out(d, kit.name, Choice(algorithm=PREFLIGHT), console)
    if done.result.outcome is not Outcome.REACHED:
        errors.print(result_line(done.result, done.rows))
        return None
    with open_store(d.settings.store) as store:
        f = stored_findings(store, kit, done.run)
    return Checked(
        kit.name, kit.facts.title, done.run, f.noise_mm, f.table, f.correctors, f.channels, f.expected_mm_per_a,
        f.measured_mm_per_a,
    )  # fmt: skip


def _table(findings: Checked) -> Table:
    title = f"response as described and as measured, noise {findings.noise_mm:.3f} mm"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (
        ("", "left"), ("expected\nmm/A", "right"), ("measured\nmm/A", "right"), ("gain", "right"), ("verdict", "left"),
        ("sure\n%", "right"), ("", "left"),
    ):  # fmt: skip
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for f in findings.table:
        colour = "green" if f.verdict is Verdict.GOOD else "bold yellow"
        measured, gain = ("-" if math.isnan(v) else f"{v:.3f}" for v in (f.measured_mm_per_a, f.gain))
        table.add_row(
            f.name, f"{f.expected_mm_per_a:.3f}", measured, gain, Text(f.verdict.value, colour),
            f"{100 * f.confidence:.1f}", f.note,
        )  # fmt: skip
    return table


def _as_object(checked: Checked) -> dict[str, object]:
    return {
        "task": checked.task,
        "run": checked.run,
        "noise_mm": checked.noise_mm,
        "faults": [_line(f) for f in checked.faults],
        "table": [_line(f) for f in checked.table],
    }


def _line(f: Finding) -> dict[str, object]:
    def number(value: float) -> float | None:
        return round(value, 6) if math.isfinite(value) else None

    return {
        "device": f.device, "name": f.name, "verdict": f.verdict.value, "confidence": number(f.confidence),
        "expected_mm_per_a": number(f.expected_mm_per_a), "measured_mm_per_a": number(f.measured_mm_per_a),
        "gain": number(f.gain), "note": f.note,
    }  # fmt: skip
