"""``beamctl up``: everything that belongs together, started together, and started again when it dies."""

import secrets
import signal
import threading
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.cli.children import ended_at_last, endings, keep_alive
from beamctl.cli.together import Together


@app.command()
def up(
    context: typer.Context,
    soft: Annotated[
        bool, typer.Option("--soft", help="With a soft machine on loopback; without, the real one.")
    ] = False,
    scenario: Annotated[str | None, typer.Option(help="Error scenario of the soft machines.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Machine of the scenario. [fresh]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the service; 0: a free one. [BEAMCTL_HTTP_PORT, 8470]")
    ] = None,
    demo_user: Annotated[
        bool, typer.Option("--demo-user", help="With --soft: everybody on this host may log in as operator.")
    ] = False,
) -> None:
    """Start the control process and the service, with --soft a simulated machine in front of them, keep them alive.

    Then open the printed address in a browser, or from another shell in the same folder: beamctl tune cm1-orbit. Ctrl-C
    ends everything; runs are restored first.
    """
    if demo_user and not soft:
        raise typer.BadParameter("--demo-user lets everybody in: with --soft only")
    settings = deployment(context).settings
    if port is not None:
        settings = settings.model_copy(update={"http_port": port})
    stop = threading.Event()
    for number in endings():
        signal.signal(number, lambda *_: stop.set())
    together = Together(settings)
    with ended_at_last(together.children):
        chosen = secrets.randbelow(2**31) if seed is None else seed
        together.start(scenario, chosen if soft else None, demo_user=demo_user)
        typer.echo(f"{'up':8} console and interface: {together.url}")
        if demo_user:
            _tell_demo_user(together.url)
        keep_alive(together.children, stop)


def _tell_demo_user(url: str) -> None:
    from beamctl.client.client import Client

    with Client(url) as client:
        demo = client.session.ways().demo
    if demo is not None:
        typer.echo(f"{'up':8} log in as {demo['name']} with the password {demo['password']}")
