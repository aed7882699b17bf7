"""The processes of a whole beamctl: soft machine, control process, service."""

import os
import sys
from dataclasses import dataclass, field

import typer

from beamctl.cli.app import EXIT_USAGE
from beamctl.cli.children import Child, Tell
from beamctl.cli.soft_machine import ioc_command, ioc_environment, reach, wait_until_ready
from beamctl.settings import Settings

START_S = 60.0


@dataclass
class Together:
    """Everything that belongs together.

    Attributes:
        settings: of all of them.
        tell: gets what they say.
        children: those that have been started.
        url: of the service, once it answers.
    """

    settings: Settings
    tell: Tell = typer.echo
    children: list[Child] = field(default_factory=list, init=False)
    url: str = field(default="", init=False)

    def start(self, scenario: str | None, seed: int | None, *, demo_user: bool) -> None:
        """Start all of them; returns when the service answers.

        Args:
            scenario: error scenario of the soft machines.
            seed: of the soft machines; None: none, the real machine.
            demo_user: everybody on this host may log in as operator.

        Raises:
            BeamControlError: one of them cannot begin.
        """
        environment = os.environ | {"BEAMCTL_STORE": self.settings.store}
        if seed is not None:
            environment |= self._soft_machine(scenario, seed)
        options = [sys.executable, "-m", "beamctl", *_options(self.settings)]
        self._start(Child("operate", [*options, "operate"], environment, self.tell))
        command = [*options, "serve", *(["--demo"] if demo_user else []), "--port"]
        serve = Child("serve", [*command, str(self.settings.http_port)], environment, self.tell, refusal=EXIT_USAGE)
        self._start(serve)
        self.url = serve.wait_until_ready(START_S)
        serve.command = [*command, self.url.rpartition(":")[2]]  # the same one when it is started again

    def _start(self, child: Child) -> None:
        child.start()
        self.children.append(child)
        child.listen()

    def _soft_machine(self, scenario: str | None, seed: int) -> dict[str, str]:
        """The soft IOC, at the same port for as long as we live; how to reach it."""
        child = Child("ioc", ioc_command(self.settings, scenario, seed, 0), ioc_environment(), self.tell)
        child.start()
        self.children.append(child)
        ready = wait_until_ready(child.process)
        child.listen()
        child.command = ioc_command(self.settings, scenario, seed, ready["port"])
        where = f"127.0.0.1:{ready['port']}"
        self.tell(f"{'ioc':8} {ready['pvs']} PVs at {where}, scenario {ready['scenario']}, seed {seed}")
        return reach(ready)


def _options(settings: Settings) -> list[str]:
    """The root options that lead to the same settings."""
    options = [part for name in settings.machine for part in ("--machine", name)]
    if settings.ion is not None:
        options += ["--ion", settings.ion]
    return [*options, "--prefix", settings.prefix] if settings.prefix else options
