"""``beamctl train`` and ``beamctl evaluate``: offline; need the ``train`` extra."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from beamctl.cli.app import EXIT_USAGE, app, deployment, errors
from beamctl.wiring.engines import epics_engine, simulated_environment
from beamctl.wiring.kit import Choice, default_output
from beamctl.wiring.orbit import DEFAULT_AGENT

if TYPE_CHECKING:
    from beamctl.training.evaluate import Evaluation


class Over(StrEnum):
    """What is trained over."""

    SIMULATOR = "simulator"
    IOC = "ioc"


@app.command()
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Task; see: beamctl tasks.")],
    preset: Annotated[str, typer.Option(help="fast (model-normalised, virtual modules) or as-published.")] = "fast",
    over: Annotated[
        Over, typer.Option(help="Batched simulator, or Channel Access to a soft IOC (slow).")
    ] = Over.SIMULATOR,
    seed: Annotated[int, typer.Option(min=0, help="Of machines, exploration and weights.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for agent, log and checkpoint. [var/agents/NAME]")] = None,
    agent_id: Annotated[str | None, typer.Option("--id", help="Name of the agent.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training over an IOC.")] = 2000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
) -> None:
    """Train an agent in simulation and export the checkpoint that is best on fixed machines.

    Never on a live machine: --over ioc refuses any IOC whose identity PV does not say that it is simulated.
    Learning curves: tensorboard --logdir OUT.
    """
    _need_training_extra()
    from beamctl.training.over_engine import train_over_engine
    from beamctl.training.presets import find_preset
    from beamctl.training.train import Look
    from beamctl.training.train import train as run_training

    kit = deployment(context).orbit(task)
    chosen = find_preset(preset)
    name = agent_id or (f"{kit.machine.name}-orbit" if chosen.modules == "virtual" else f"{task}-{chosen.name}")
    folder = out or default_output("agents", f"{name}-seed{seed}")
    console = Console(highlight=False)
    with _progress(console) as bar:
        row = bar.add_task(f"{task}, {chosen.name}, seed {seed}", total=None, note="")

        def show(done: int, total: int, look: Look | None) -> None:
            note = (
                "" if look is None else f"success {100 * look.success:.1f} %, at 0.2 mm {100 * look.deep_success:.1f} %"
            )
            bar.update(row, completed=done, total=total, note=note)
            if note and not console.is_terminal:
                console.print(f"{done} of {total} updates: {note}")

        if over is Over.IOC:
            engine = epics_engine()
            try:
                env = simulated_environment(kit, engine, chosen, deployment(context).settings.connect_timeout_s)
                manifest = train_over_engine(
                    env, chosen, seed, folder, steps,
                    agent_id=name, machine=kit.machine.name, machine_hash=kit.section_hash, progress=show,
                )  # fmt: skip
            finally:
                engine.close()
            console.print(f"{steps} steps over Channel Access; agent {manifest.id} in {folder}")
            return
        result = run_training(
            kit.site(), task, chosen, seed, folder,
            agent_id=name, machine_hash=kit.section_hash, progress=show, resume=resume,
        )  # fmt: skip
    best = result.best
    when = "never" if result.cpu_s_to_99 is None else f"after {result.cpu_s_to_99:.0f} CPU s"
    console.print(
        f"best checkpoint: {best.updates} updates, success {100 * best.success:.1f} % on the fixed nominal machines, "
        f"{100 * best.deep_success:.1f} % below 0.2 mm, mean steps {best.steps:.1f}; 99 % {when}\n"
        f"agent {result.manifest.id} in {folder}: use it with --agent {folder}"
    )


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


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} updates"),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
    )  # fmt: skip


def _need_training_extra() -> None:
    if find_spec("torch") is None or find_spec("stable_baselines3") is None:
        errors.print(
            "error: training needs more packages: pip install -c constraints.txt 'beamctl[train]' (or: make train)"
        )
        raise typer.Exit(EXIT_USAGE)
