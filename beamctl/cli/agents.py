"""``beamctl agents``: passports of trained agents."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.agent.registry import load_by_kind, load_manifest, write_manifest
from beamctl.cli.app import app, deployment, errors
from beamctl.machine.loader import load_injector
from beamctl.wiring.envelope import measure_envelope

agents_app = typer.Typer(help="Trained agents: list, show, verify.", no_args_is_help=True)
app.add_typer(agents_app, name="agents")
AgentName = Annotated[str, typer.Argument(help="Name of an agent, or the path of its folder.")]


@agents_app.command("list")
def list_agents(context: typer.Context) -> None:
    """List the agents that can be used with --agent."""
    table = Table()
    for column in ("agent", "runs on", "observation", "trained", "selection success", "policy"):
        table.add_column(column, overflow="fold")
    for agent in deployment(context).registry.list():
        m = load_manifest(agent)
        bound = "any section that fits" if m.machine_hash is None else f"{m.machine} {m.machine_hash[:12]}"
        rows, columns = m.observation.shape
        success = m.training.selection.get("success")
        table.add_row(
            m.id, bound, f"{m.observation.kind}, {rows} x {columns}",
            f"{m.training.preset}, seed {m.training.seed}",
            "-" if success is None else f"{100 * success:.1f} %", m.policy_sha256[:12],
        )  # fmt: skip
    Console().print(table)


@agents_app.command()
def show(context: typer.Context, agent: AgentName) -> None:
    """Print an agent's manifest (golden vectors and the inside of the envelope left out)."""
    manifest = load_manifest(deployment(context).registry.find(agent))
    typer.echo(manifest.model_dump_json(indent=1, exclude={"golden": True, "envelope": {"mean", "whitening"}}))
    if manifest.envelope is None:
        errors.print(
            f"{manifest.id} has no training envelope: it is asked about everything that it is shown; "
            f"measure one with: beamctl agents envelope {agent}"
        )


@agents_app.command()
def verify(context: typer.Context, agent: AgentName) -> None:
    """Check hash, network and golden vectors; exit code 2 where anything is wrong."""
    found = deployment(context).registry.find(agent)
    loaded = load_by_kind(found)
    typer.echo(f"{loaded.identity}: manifest, SHA-256, network and golden vectors are in order ({found.path})")


@agents_app.command()
def envelope(
    context: typer.Context,
    agent: AgentName,
    seed: Annotated[int, typer.Option(min=0, help="Of the machines.")] = 0,
    machines: Annotated[
        int | None, typer.Option(min=10, help="Of each task and scenario; a thousand linacs or 400 injectors.")
    ] = None,
) -> None:
    """Measure what an agent usually sees, on simulated machines, and write it into its manifest.

    Whatever lies outside is not given to the agent: a fall-back that needs no training proposes instead.
    """
    d = deployment(context)
    found = d.registry.find(agent)
    manifest = load_manifest(found)
    with Console(stderr=True).status("running simulated machines ..."):
        measured = measure_envelope(d, found, seed, machines)
    write_manifest(found, manifest.model_copy(update={"envelope": measured}))
    typer.echo(
        f"{manifest.id}: {measured.samples} observations of {measured.runs} runs, threshold {measured.threshold:g}, "
        f"written to {found.manifest}"
    )


@agents_app.command()
def prior(
    context: typer.Context,
    agent: AgentName,
    seed: Annotated[int, typer.Option(min=0, help="Of the machines.")] = 0,
) -> None:
    """Fit the prior of the Gaussian process that goes with an injector's agent, and write it into its manifest.

    About four minutes of one processor; needs the train extra.
    """
    found = deployment(context).registry.find(agent)
    manifest = load_manifest(found)
    machine = load_injector(manifest.machine)
    from beamctl.training.gp_prior import injector_prior

    with Console(stderr=True).status("running simulated machines ..."):
        fitted = injector_prior(machine, seed)
    write_manifest(found, manifest.model_copy(update={"gp": fitted}))
    typer.echo(f"{manifest.id}: {len(fitted.families)} families, written to {found.manifest}")
