"""``beamctl up``: everything that belongs together, started together, and started again when it dies."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.cli.soft_machine import ioc_command, ioc_environment, reach, wait_until_ready
from beamctl.errors import BeamControlError
from beamctl.settings import Settings

LOOK_S = 0.2
AGAIN_S = 1.0
"""pause before a process that died is started again"""
SHORT_LIFE_S = 5.0
MOST_DEATHS = 5
"""a process that dies so often shortly after its start is not started again"""
END_S = 120.0
"""how long the control process may take to restore before it is killed"""


@dataclass
class Child:
    """A process that is kept alive."""

    name: str
    command: list[str]
    environment: dict[str, str]
    deaths: int = 0
    started: float = field(default=0.0, init=False)
    process: "subprocess.Popen[str]" = field(init=False)

    def start(self) -> None:
        """Start it, or start it again."""
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.started = time.monotonic()

    def echo(self) -> None:
        """Show what it says, behind its name, from now on."""
        stream = self.process.stdout

        def copy() -> None:
            for line in stream or ():
                typer.echo(f"{self.name:8} {line.rstrip()}")

        threading.Thread(target=copy, name=f"{self.name}-output", daemon=True).start()

    def end(self, patience_s: float) -> None:
        """Ask it to end, and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            typer.echo(f"{self.name:8} did not end within {patience_s:g} s: killed")
            self.process.kill()
            self.process.wait()


@app.command()
def up(
    context: typer.Context,
    soft: Annotated[
        bool, typer.Option("--soft", help="With a soft machine on loopback; without, the real one.")
    ] = False,
    scenario: Annotated[str | None, typer.Option(help="Error scenario of the soft machines.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Machine of the scenario. [fresh]")] = None,
) -> None:
    """Start the control process, with --soft a simulated machine in front of it, and keep them alive.

    Then, from another shell in the same folder: beamctl tune cm1-orbit. Ctrl-C ends everything; runs are restored
    first.
    """
    settings = deployment(context).settings
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    children: list[Child] = []
    environment = dict(os.environ)
    try:
        if soft:
            machine, reached = _soft_machine(settings, scenario, secrets.randbelow(2**31) if seed is None else seed)
            children.append(machine)
            environment |= reached
        operate = Child("operate", [sys.executable, "-m", "beamctl", *_options(settings), "operate"], environment)
        operate.start()
        operate.echo()
        children.append(operate)
        while not stop.wait(LOOK_S):
            for child in children:
                if child.process.poll() is not None:
                    _again(child)
    finally:
        for child in reversed(children):
            child.end(END_S)


def _soft_machine(settings: Settings, scenario: str | None, seed: int) -> tuple[Child, dict[str, str]]:
    """The soft IOC, at the same port for as long as we live, and how to reach it."""
    child = Child("ioc", ioc_command(settings, scenario, seed, 0), ioc_environment())
    child.start()
    ready = wait_until_ready(child.process)
    child.echo()
    child.command = ioc_command(settings, scenario, seed, ready["port"])
    typer.echo(f"{'ioc':8} {ready['pvs']} PVs at 127.0.0.1:{ready['port']}, scenario {ready['scenario']}, seed {seed}")
    return child, reach(ready)


def _options(settings: Settings) -> list[str]:
    """The root options that lead to the same settings."""
    options = [part for name in settings.machine for part in ("--machine", name)]
    if settings.ion is not None:
        options += ["--ion", settings.ion]
    return [*options, "--prefix", settings.prefix] if settings.prefix else options


def _again(child: Child) -> None:
    """Start a process that has died once more.

    Raises:
        BeamControlError: it dies again and again.
    """
    is_short = time.monotonic() - child.started < SHORT_LIFE_S
    child.deaths = child.deaths + 1 if is_short else 1
    if child.deaths >= MOST_DEATHS:
        raise BeamControlError(f"{child.name} has died {child.deaths} times within {SHORT_LIFE_S:g} s of its start")
    typer.echo(f"{child.name:8} ended with {child.process.returncode}; started again")
    time.sleep(AGAIN_S)
    child.start()
    child.echo()
