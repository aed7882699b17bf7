"""``beamctl operate``: the control process."""

import signal
import threading
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.run.events import Listener
from beamctl.run.supervisor import Supervisor
from beamctl.store.open import open_store
from beamctl.store.runs import Run
from beamctl.wiring.control import ControlWorkshop
from beamctl.wiring.engines import epics_engine
from beamctl.wiring.observer import observer

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
    # Channel Access servers are this command's business alone
    from beamctl.status.board import StatusBoard
    from beamctl.wiring.status import board_listener, serving

    d = deployment(context)
    stop = threading.Event()
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        ends.append(signal.SIGHUP)
    for number in ends:
        signal.signal(number, lambda *_: stop.set())
    with open_store(store or d.settings.store) as opened, opened.leases.control():
        board = StatusBoard()

        def listen(run: Run, budget: int) -> Listener:
            return board_listener(board, run.section.removeprefix(d.settings.prefix), run, budget)

        supervisor = Supervisor(
            opened,
            ControlWorkshop(d, opened, epics_engine, listen),
            on_change=lambda: board.service(runs_active=supervisor.active),
            on_beat=board.beat,
            why_closed=lambda: (
                f"halted by the PV {d.settings.status_prefix}Halt: put 0 there first" if board.halt else ""
            ),
        )

        def halt(is_halted: bool, who: str) -> None:
            if is_halted:
                supervisor.halt_all(who)

        with serving(board, d, halt):
            supervisor.recover()
            board.service(ready=True, permit_to_act=True)
            typer.echo(f"{READY} control process of {opened.name}: {', '.join(m.title for m in d.machines)}")
            with observer(d, opened, epics_engine, lambda: board.halt):
                supervisor.serve(stop)
