"""``beamctl --server URL advice``: what several would do from the present reading; nothing is written."""

from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from beamctl.api.schemas.advice import Option
from beamctl.cli.app import EXIT_ADVISED
from beamctl.cli.remote.connection import connected
from beamctl.cli.remote.tune import task_of
from beamctl.cli.target import Target

UNITS = {"rms_mm": ("RMS", "mm"), "mfc1_ma": ("MFC1", "mA"), "acct_ma": ("ACCT", "mA"), "transmission": ("T", "")}
"""how figures are called for people"""


def advise(
    context: typer.Context, task: str, algorithms: list[str] | None, agent: str | None, target: Target, *, as_json: bool
) -> int:
    """Ask, and show it; the exit code."""
    console = Console(highlight=False)
    with connected(context) as client:
        found = task_of(client, task)
        goal = target.of(task, is_orbit=found.kind == "orbit")
        advice = client.machine.advice(task, algorithms=algorithms or None, agent=agent, target=goal)
    if as_json:
        typer.echo(advice.model_dump_json())
    else:
        name, unit = UNITS.get(advice.figure, (advice.figure, ""))
        now = f"{name} {_number(advice.figures.get(advice.figure))} {unit}".rstrip()
        console.print(f"{advice.section}: {now} now, {advice.age_s:.1f} s old; nothing was written")
        console.print(_table(advice.options, advice.figure, name, unit))
        for reason in advice.unfit:
            console.print(f"nothing could be written now: {reason}")
    return 0 if advice.is_reached else EXIT_ADVISED


def _table(options: Sequence[Option], figure: str, name: str, unit: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in (
        ("algorithm", "left"), (f"{name} after\none step {unit}", "right"), (f"{name} at\nthe end {unit}", "right"),
        ("steps", "right"), ("largest\nchange A", "right"), ("", "left"),
    ):  # fmt: skip
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for option in options:
        table.add_row(*_row(option, figure))
    return table


def _row(option: Option, figure: str) -> list[str]:
    largest = f"{max(map(abs, option.change_a)):.3f}" if option.change_a else "-"
    end = option.rollout[-1] if option.rollout else None
    steps = str(max(len(option.rollout) - 1, 0)) if option.rollout else "-"
    return [
        option.algorithm, _number(option.predicted.get(figure)), _number(end), steps, largest,
        option.error or option.note,
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
