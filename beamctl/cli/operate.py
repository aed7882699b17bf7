"""``beamctl operate``: the control process."""

import signal
import threading
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.run.supervisor import Supervisor
from beamctl.store.open import open_store
from beamctl.wiring.control import ControlWorkshop
from beamctl.wiring.engines import epics_engine

READY = "READY"


@app.command()
def operate(
    context: typer.Context,
    store: Annotated[
        str | None,
        typer.Option("--store", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [BEAMCTL_STORE]"),
    ] = None,
) -> None:
    """Run the control process: takes requests from the store, guards, journals and restores every write.

    One per store. At the start it brings back what an earlier one has left behind (see: beamctl runs list). SIGTERM or
    Ctrl-C aborts every run, which restores it, and then ends. Requests come from beamctl tune, or any other client
    of the store; it listens to no network.
    """
    d = deployment(context)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_store(store or d.settings.store) as opened, opened.leases.control():
        supervisor = Supervisor(opened, ControlWorkshop(d, opened, epics_engine))
        supervisor.recover()
        typer.echo(f"{READY} control process of {opened.name}: {', '.join(m.title for m in d.machines)}")
        supervisor.serve(stop)
