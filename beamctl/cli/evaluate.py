"""``beamctl evaluate``: an algorithm on simulated machines, beside references and the best that can be reached."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import app, deployment
from beamctl.wiring.kit import Choice, default_output
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit

if TYPE_CHECKING:
    from beamctl.training.evaluate import Evaluation
    from beamctl.training.transmission_evaluate import TransmissionEvaluation

ORBIT_REFERENCES, ORBIT_SCENARIOS = "bls,svd", "nominal,err5,err10,dead,mis6"
TRANSMISSION_REFERENCES, TRANSMISSION_SCENARIOS = "tbsac,design+gp", "nominal,shifted,reversed"


@app.command()
def evaluate(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Task; see: beamctl tasks.")],
    algorithm: Annotated[
        str | None, typer.Option(help="What the report is about; beamctl tasks lists them. [the task's first]")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="References, separated by commas; empty for none. "
            f"[orbit: {ORBIT_REFERENCES}; transmission: {TRANSMISSION_REFERENCES}]"
        ),
    ] = None,
    scenarios: Annotated[
        str | None,
        typer.Option(
            help=f"Error scenarios, separated by commas. [orbit: {ORBIT_SCENARIOS}; "
            f"transmission: {TRANSMISSION_SCENARIOS}]"
        ),
    ] = None,
    machines: Annotated[int, typer.Option(min=2, help="Simulated machines per scenario.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the machines.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for report.md, summary.json and plots.")] = None,
    agent: Annotated[str | None, typer.Option(help="Trained agent for tbsac. [the task's own]")] = None,
    target_mm: Annotated[float | None, typer.Option(min=0.01, help="Orbit tasks: instead of the task's.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Budget instead of the task's.")] = None,
    step_percent: Annotated[
        float | None,
        typer.Option(min=0.1, max=100, help="Largest step, % of a knob's interval, where below the machine's own."),
    ] = None,
    opposite_solenoids: Annotated[
        bool, typer.Option("--opposite-solenoids", help="Orbit tasks: reverse all solenoids, and what the model knows.")
    ] = False,
) -> None:
    """Judge an algorithm on simulated machines, beside references and the best that any setting reaches.

    Injectors are tracked particle by particle: 200 of them in three scenarios take some minutes per algorithm, and
    the search for each machine's best setting about as long.
    """
    kit, console = deployment(context).kit(task), Console(highlight=False)
    choice = Choice(algorithm, agent, target_mm, max_steps, step_percent)
    folder = out or default_output("evaluate", task)
    if isinstance(kit, TransmissionKit):
        named = _split(scenarios, TRANSMISSION_SCENARIOS)
        algorithms = _algorithms(kit.algorithms[0], choice, against, TRANSMISSION_REFERENCES)
        _evaluate_transmission(kit, choice, algorithms, named, (machines, seed), folder, console)
    elif isinstance(kit, OrbitKit):
        named = _split(scenarios, ORBIT_SCENARIOS)
        algorithms = _algorithms(kit.algorithms[0], choice, against, ORBIT_REFERENCES)
        _evaluate_orbit(
            kit, choice, algorithms, named, (machines, seed), folder, console, opposite_solenoids=opposite_solenoids
        )


def _split(given: str | None, default: str) -> list[str]:
    return [name for name in (default if given is None else given).split(",") if name]


def _algorithms(first: str, choice: Choice, against: str | None, default: str) -> list[str]:
    """What the report is about, then the references, each once."""
    return list(dict.fromkeys([choice.algorithm or first, *_split(against, default)]))


def _evaluate_orbit(
    kit: OrbitKit,
    choice: Choice,
    algorithms: list[str],
    scenarios: list[str],
    machines_and_seed: tuple[int, int],
    folder: Path,
    console: Console,
    *,
    opposite_solenoids: bool,
) -> None:
    from beamctl.engine.simulated.scenarios import find_scenario
    from beamctl.training.evaluate import evaluate as run_evaluation
    from beamctl.training.report import write_report

    machines, seed = machines_and_seed
    for name in scenarios:
        find_scenario(kit.machine, name)
    agents = {name: kit.agent(replace(choice, algorithm=name)) for name in algorithms}
    with console.status(f"{machines} machines, {len(scenarios)} scenarios, {len(agents)} algorithms ..."):
        evaluation = run_evaluation(
            kit.site(), kit.problem(choice), agents, scenarios,
            seed=seed, machines=machines, opposite_solenoids=opposite_solenoids,
        )  # fmt: skip
    written = write_report(evaluation, folder)
    console.print(_orbit_table(evaluation))
    console.print(f"written: {', '.join(str(p) for p in written)}")


def _evaluate_transmission(
    kit: TransmissionKit,
    choice: Choice,
    algorithms: list[str],
    scenarios: list[str],
    machines_and_seed: tuple[int, int],
    folder: Path,
    console: Console,
) -> None:
    from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
    from beamctl.training.injector_families import injector_families
    from beamctl.training.transmission_evaluate import evaluate_transmission
    from beamctl.training.transmission_report import write_transmission_report

    machines, seed = machines_and_seed
    for name in scenarios:
        find_injector_scenario(kit.machine, name)
    agents = {name: kit.agent(replace(choice, algorithm=name)) for name in algorithms}
    with console.status(f"{machines} machines, {len(scenarios)} scenarios, {len(agents)} algorithms ..."):
        evaluation = evaluate_transmission(
            kit.machine, kit.problem(choice), agents, scenarios,
            families_a=injector_families(kit.machine), seed=seed, machines=machines,
        )  # fmt: skip
    written = write_transmission_report(evaluation, folder)
    console.print(_transmission_table(evaluation))
    console.print(f"written: {', '.join(str(p) for p in written)}")


def _orbit_table(evaluation: "Evaluation") -> Table:
    title = f"{evaluation.task}, {evaluation.machines} machines per scenario, target {evaluation.target_mm:g} mm"
    caption = "True RMS where the run stopped. Reachable: share that any setting within limits gets below the target."
    numbers = "success\n%", "reachable\n%", "steps\nmedian", "\nP90", "initial\nmm", "final\nmm", "P95\nmm", "max\nmm"
    table = _table(title, caption, numbers)
    for row in evaluation.rows:
        table.add_row(
            row.scenario, row.algorithm, f"{100 * row.success:.1f}", f"{100 * row.reachable:.1f}",
            _steps(row.steps_median), _steps(row.steps_p90),
            f"{row.initial_mean:.2f}", f"{row.final_mean:.3f}", f"{row.final_p95:.3f}", f"{row.final_max:.3f}",
        )  # fmt: skip
    return table


def _transmission_table(evaluation: "TransmissionEvaluation") -> Table:
    title = (
        f"{evaluation.task}, {evaluation.machines} machines per scenario, {evaluation.max_steps} steps of at most "
        f"{evaluation.step_percent:g} %"
    )
    caption = "True values where the run ends. Within: share of machines whose MFC1 is so close to their own best."
    numbers = (
        f"T {evaluation.target_transmission:g}\n%", "steps\nmedian", "\nP90", "T\nfinal", "of\nbest",
        "within\n2 %", "within\n5 %", "worse\n%",
    )  # fmt: skip
    table = _table(title, caption, numbers)
    for row in evaluation.rows:
        table.add_row(
            row.scenario, row.algorithm, f"{100 * row.success:.1f}", _steps(row.steps_median), _steps(row.steps_p90),
            f"{row.final_mean:.3f}", f"{row.mfc1_over_best_mean:.3f}", f"{100 * row.within_2pct:.1f}",
            f"{100 * row.within_5pct:.1f}", f"{100 * row.worse_than_start:.1f}",
        )  # fmt: skip
    return table


def _table(title: str, caption: str, numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    table.collapse_padding = True
    table.pad_edge = False
    for name in ("scenario", "algorithm"):
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _steps(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"
