"""``beamctl demo``: a soft machine with errors that nobody knows, tuned over Channel Access."""

import json
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment
from beamctl.cli.carry_out import Done, carry_out
from beamctl.cli.display import result_line
from beamctl.cli.objects import as_object, head_of
from beamctl.cli.soft_machine import soft_ioc
from beamctl.run.events import Outcome
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import epics_engine
from beamctl.wiring.kit import Choice


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
    out.mkdir(parents=True, exist_ok=True)
    d = Deployment(deployment(context).settings.model_copy(update={"store": f"sqlite:///{out / 'store.db'}"}))
    console = Console(highlight=False)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    console.print(f"soft machines {', '.join(m.title for m in d.machines)}: seed {chosen}")
    done: dict[str, Done] = {}
    with soft_ioc(d.settings, scenario, chosen):
        engine = epics_engine()
        try:
            for task in d.demonstrated:
                done[task] = carry_out(d, task, Choice(), console, engine=engine)
                console.print(result_line(done[task].result, done[task].rows))
                if done[task].result.outcome is Outcome.ABORTED:
                    break
        finally:
            engine.close()
    objects = [as_object(head_of(task, d.kit(task), Choice()), one.result) for task, one in done.items()]
    (out / "summary.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    pictures = _draw(d, done, out, f"seed {chosen}")
    console.print(_table(done))
    console.print(f"written: {', '.join(map(str, (out / 'summary.json', *pictures)))}")
    if any(o["outcome"] != "reached" for o in objects):
        raise typer.Exit(EXIT_NOT_REACHED)


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
        table.add_column(
            column, justify="right" if column in ("steps", "writes") else "left", no_wrap=column in ("task", "outcome")
        )
    for task, one in done.items():
        r = one.result
        table.add_row(
            task, r.outcome.value, one.rows.words(r.initial), one.rows.words(r.final), str(r.steps), str(r.writes)
        )
    return table
