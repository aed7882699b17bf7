"""``beamctl train``: offline, in simulation; needs the ``train`` extra."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from beamctl.agent.envelope import Envelope
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.cli.app import EXIT_USAGE, app, deployment, errors
from beamctl.wiring.engines import epics_engine, simulated_environment
from beamctl.wiring.kit import default_output
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit

CACHE = Path("var/cache")
"""keeps what takes long to compute and is always the same"""


class Over(StrEnum):
    """What is trained over."""

    SIMULATOR = "simulator"
    IOC = "ioc"


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    preset: str
    seed: int
    out: Path | None
    agent_id: str | None
    resume: bool

    def folder(self, name: str) -> Path:
        """Where the results go."""
        return self.out or default_output("agents", f"{name}-seed{self.seed}")


@app.command()
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Task; see: beamctl tasks.")],
    preset: Annotated[
        str, typer.Option(help="fast; for orbit tasks also as-published, for transmission tasks also smoke.")
    ] = "fast",
    over: Annotated[
        Over, typer.Option(help="Batched simulator, or (orbit tasks) Channel Access to a soft IOC, which is slow.")
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
    if find_spec("torch") is None or find_spec("stable_baselines3") is None:
        errors.print(
            "error: training needs more packages: pip install -c constraints.txt 'beamctl[train]' (or: make train)"
        )
        raise typer.Exit(EXIT_USAGE)
    d = deployment(context)
    kit, plan, console = d.kit(task), Plan(preset, seed, out, agent_id, resume), Console(highlight=False)
    if isinstance(kit, TransmissionKit):
        if over is Over.IOC:
            raise typer.BadParameter("transmission tasks are trained over the simulator", param_hint="--over")
        _train_transmission(kit, plan, console)
    elif isinstance(kit, OrbitKit) and over is Over.IOC:
        _train_over_ioc(kit, plan, steps, d.settings.connect_timeout_s, console)
    elif isinstance(kit, OrbitKit):
        _train_orbit(kit, plan, console)


def _train_orbit(kit: OrbitKit, plan: Plan, console: Console) -> None:
    from beamctl.training.presets import find_preset
    from beamctl.training.train import Look
    from beamctl.training.train import train as run_training

    preset = find_preset(plan.preset)
    machine = kit.machine.name
    name = plan.agent_id or (f"{machine}-orbit" if preset.modules == "virtual" else f"{kit.name}-{preset.name}")

    def words(look: Look) -> str:
        return f"success {100 * look.success:.1f} %, at 0.2 mm {100 * look.deep_success:.1f} %"

    with _shown(console, f"{kit.name}, {preset.name}, seed {plan.seed}", words) as show:
        result = run_training(
            kit.site(), kit.name, preset, plan.seed, plan.folder(name),
            agent_id=name, machine_hash=kit.section_hash, progress=show, resume=plan.resume,
        )  # fmt: skip
    best = result.best
    when = "never" if result.cpu_s_to_99 is None else f"after {result.cpu_s_to_99:.0f} CPU s"
    console.print(
        f"best checkpoint: {best.updates} updates, {words(best)} on the fixed machines, mean steps {best.steps:.1f}; "
        f"99 % {when}\nagent {result.manifest.id} in {result.folder}: use it with --agent {result.folder}"
    )


def _train_transmission(kit: TransmissionKit, plan: Plan, console: Console) -> None:
    from beamctl.training.export import add_gp
    from beamctl.training.gp_prior import injector_prior
    from beamctl.training.train_transmission import TransmissionLook, train_transmission
    from beamctl.training.transmission_presets import find_transmission_preset

    preset = find_transmission_preset(plan.preset)
    name = plan.agent_id or f"{kit.machine.name}-transmission"

    def words(look: TransmissionLook) -> str:
        return (
            f"MFC1 {100 * look.eta:.1f} % of the source (after 8 steps {100 * look.eta_early:.1f} %), "
            f"goal on {100 * look.success:.1f} %"
        )

    console.print("survival table of the RFQ: made once, half a minute, then kept in var/cache")
    with _shown(console, f"{kit.name}, {preset.name}, seed {plan.seed}", words) as show:
        result = train_transmission(
            kit.machine, preset, plan.seed, plan.folder(name),
            agent_id=name, cache=CACHE, progress=show, resume=plan.resume,
        )  # fmt: skip
    with console.status("prior of the Gaussian process: some minutes more"):
        add_gp(result.folder, injector_prior(kit.machine, plan.seed))
    best = result.best
    console.print(
        f"best checkpoint: {best.updates} updates, {words(best)}, after {best.cpu_s:.0f} CPU s\n"
        f"agent {result.manifest.id} in {result.folder}: use it with --agent {result.folder}"
    )


def _train_over_ioc(kit: OrbitKit, plan: Plan, steps: int, timeout_s: float, console: Console) -> None:
    from beamctl.training.envelope import orbit_envelope
    from beamctl.training.over_engine import train_over_engine
    from beamctl.training.presets import find_preset
    from beamctl.training.train import usual_problem

    preset = find_preset(plan.preset)
    machine = kit.machine.name
    name = plan.agent_id or (f"{machine}-orbit" if preset.modules == "virtual" else f"{kit.name}-{preset.name}")
    folder, site = plan.folder(name), kit.site()
    problem = usual_problem(site, kit.name, preset)

    def measure(agent: TrendPolicyAgent) -> Envelope:
        return orbit_envelope(site, [problem], agent)

    engine = epics_engine()
    try:
        env = simulated_environment(kit, engine, preset, timeout_s)
        with _shown(console, f"{kit.name}, {preset.name}, seed {plan.seed}", str) as show:
            manifest = train_over_engine(
                env, preset, plan.seed, folder, steps,
                agent_id=name, machine=machine, machine_hash=kit.section_hash, measure=measure, progress=show,
            )  # fmt: skip
    finally:
        engine.close()
    console.print(f"{steps} steps over Channel Access; agent {manifest.id} in {folder}")


@contextmanager
def _shown(console: Console, what: str, words: Callable[[Any], str]) -> Iterator[Callable[[int, int, Any], None]]:
    """A progress bar; where nobody sees it move, a line per look."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} updates"),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
    )  # fmt: skip
    with bar:
        row = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, look: Any) -> None:
            note = "" if look is None else words(look)
            bar.update(row, completed=done, total=total, note=note)
            if note and not console.is_terminal:
                console.print(f"{done} of {total} updates: {note}")

        yield show
