"""``beamctl agents``: passports of trained agents."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.agent.registry import load_by_kind, load_manifest
from beamctl.cli.app import app, deployment

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
    """Print an agent's manifest (golden vectors left out)."""
    manifest = load_manifest(deployment(context).registry.find(agent))
    typer.echo(manifest.model_dump_json(indent=1, exclude={"golden"}))


@agents_app.command()
def verify(context: typer.Context, agent: AgentName) -> None:
    """Check hash, network and golden vectors; exit code 2 where anything is wrong."""
    found = deployment(context).registry.find(agent)
    loaded = load_by_kind(found)
    typer.echo(f"{loaded.identity}: manifest, SHA-256, network and golden vectors are in order ({found.path})")
