"""``beamctl evaluate``: an algorithm on simulated machines, beside references and the best that can be reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import app, deployment
from beamctl.wiring.kit import Choice, default_output
from beamctl.wiring.orbit import DEFAULT_AGENT

if TYPE_CHECKING:
    from beamctl.training.evaluate import Evaluation


@app.command()
def evaluate(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Task; see: beamctl tasks.")],
    algorithm: Annotated[str, typer.Option(help="What the report is about; beamctl tasks lists them.")] = "tbsac",
    against: Annotated[str, typer.Option(help="References, separated by commas; empty for none.")] = "bls,svd",
    scenarios: Annotated[
        str, typer.Option(help="Error scenarios, separated by commas.")
    ] = "nominal,err5,err10,dead,mis6",
    machines: Annotated[int, typer.Option(min=2, help="Simulated machines per scenario.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the machines.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for report.md, summary.json and plots.")] = None,
    agent: Annotated[str, typer.Option(help="Trained agent for tbsac.")] = DEFAULT_AGENT,
    target_mm: Annotated[float | None, typer.Option(min=0.01, help="Instead of the task's.")] = None,
    opposite_solenoids: Annotated[
        bool, typer.Option("--opposite-solenoids", help="Reverse all solenoids, and what the model knows of them.")
    ] = False,
) -> None:
    """Judge an algorithm on simulated machines, beside references and the best that any setting reaches."""
    from beamctl.engine.simulated.scenarios import find_scenario
    from beamctl.training.evaluate import evaluate as run_evaluation
    from beamctl.training.report import write_report

    kit = deployment(context).orbit(task)
    problem = kit.problem(Choice(target=target_mm))
    named = [name for name in scenarios.split(",") if name]
    for name in named:
        find_scenario(kit.machine, name)
    algorithms = list(dict.fromkeys([algorithm, *filter(None, against.split(","))]))
    agents = {name: kit.agent(Choice(name, agent)) for name in algorithms}
    console = Console(highlight=False)
    with console.status(f"{machines} machines, {len(named)} scenarios, {len(agents)} algorithms ..."):
        evaluation = run_evaluation(
            kit.site(), problem, agents, named, seed=seed, machines=machines, opposite_solenoids=opposite_solenoids
        )
    written = write_report(evaluation, out or default_output("evaluate", task))
    console.print(_rows_table(evaluation))
    console.print(f"written: {', '.join(str(p) for p in written)}")


def _rows_table(evaluation: "Evaluation") -> Table:
    title = f"{evaluation.task}, {evaluation.machines} machines per scenario, target {evaluation.target_mm:g} mm"
    caption = "True RMS where the run stopped. Reachable: share that any setting within limits gets below the target."
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    table.collapse_padding = True
    for name in ("scenario", "algorithm"):
        table.add_column(name)
    numbers = "success\n%", "reachable\n%", "steps\nmedian", "\nP90", "initial\nmm", "final\nmm", "P95\nmm", "max\nmm"
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for row in evaluation.rows:
        median, p90 = ("never" if v is None else f"{v:.0f}" for v in (row.steps_median, row.steps_p90))
        table.add_row(
            row.scenario, row.algorithm, f"{100 * row.success:.1f}", f"{100 * row.reachable:.1f}", median, p90,
            f"{row.initial_mean:.2f}", f"{row.final_mean:.3f}", f"{row.final_p95:.3f}", f"{row.final_max:.3f}",
        )  # fmt: skip
    return table
