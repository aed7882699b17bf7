"""``beamctl status``: every section, and the control process, at one glance."""

from dataclasses import dataclass

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beamctl.api.live_book import as_live
from beamctl.api.schemas.machine import Live
from beamctl.cli.app import app, deployment, is_remote
from beamctl.cli.run_tables import state_text
from beamctl.store.open import Store, open_store
from beamctl.store.states import RunState
from beamctl.wiring.deployment import Deployment


@dataclass(frozen=True)
class SectionLine:
    """One section.

    Attributes:
        state, reason: of its run, or of the last one.
        run: its number; None before the first.
        by: who asked for it.
        is_owned: it goes on.
        reading: figures of the newest reading; empty where there is none.
        unfit: why nothing may be written now; None: nobody knows.
    """

    key: str
    title: str
    state: RunState
    reason: str
    run: int | None
    by: str
    is_owned: bool
    reading: str
    unfit: list[str] | None


@app.command()
def status(context: typer.Context) -> None:
    """Show every section with its run and newest reading, and whether a control process is at work."""
    console = Console(highlight=False)
    if is_remote(context):
        from beamctl.cli.remote import status as there

        there.status(context, console)
        return
    d = deployment(context)
    with open_store(d.settings.store) as store:
        alive = store.leases.is_held("control")
        lines = _lines(d, store)
    print_status(console, lines, "at work" if alive else "none is running: beamctl operate")


def print_status(console: Console, lines: list[SectionLine], control: str) -> None:
    """A table, and below it what keeps sections from being tuned."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("section", "run", "state", "by", "reads", "fit"):
        table.add_column(name, justify="right" if name == "run" else "left")
    for line in lines:
        fit = "?" if line.unfit is None else Text("no", "yellow") if line.unfit else Text("yes", "green")
        table.add_row(
            line.key, "-" if line.run is None else str(line.run), state_text(line.state), line.by, line.reading, fit
        )
    console.print(table)
    for line in lines:
        if line.is_owned and line.reason:
            console.print(f"{line.key}: {line.reason}")
        for reason in line.unfit or ():
            console.print(f"{line.key}, {line.title}: {reason}")
    console.print(f"control process: {control}")


def readings(live: Live | None) -> tuple[str, list[str] | None]:
    """The newest reading for a line, and why nothing may be written; nobody knows what is not fresh."""
    if live is None or not live.is_fresh:
        return "", None
    shown = {name: "-" if value is None else f"{value:.3f}" for name, value in live.figures.items()}
    if "rms_mm" in shown:
        return f"RMS {shown['rms_mm']} mm", live.unfit
    return f"T {shown.get('transmission', '-')}, MFC1 {shown.get('mfc1_ma', '-')} mA", live.unfit


def _lines(d: Deployment, store: Store) -> list[SectionLine]:
    published = store.live.read()
    found: list[SectionLine] = []
    for task in d.demonstrated:
        kit = d.kit(task)
        last = next(iter(store.runs.list(section=kit.key, limit=1)), None)
        row = published.get(kit.key)
        reading, unfit = readings(None if row is None else as_live(row))
        found.append(
            SectionLine(
                key=kit.key,
                title=kit.facts.title,
                state=RunState.IDLE if last is None else last.state,
                reason="" if last is None else last.reason,
                run=None if last is None else last.id,
                by="" if last is None else last.principal,
                is_owned=last is not None and last.ended is None,
                reading=reading,
                unfit=unfit,
            )
        )
    return found
