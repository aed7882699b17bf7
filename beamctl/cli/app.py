"""The command line: thin commands over :mod:`beamctl.wiring`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beamctl.errors import BeamControlError, NotLoggedInError
from beamctl.settings import read_settings
from beamctl.wiring.deployment import Deployment

EXIT_NOT_REACHED = 1
EXIT_USAGE = 2
EXIT_ADVISED = 3
EXIT_LEFT = 130
"""no longer watched"""

app = typer.Typer(
    name="beamctl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
errors = Console(stderr=True, highlight=False)


@app.callback()
def root(
    context: typer.Context,
    machine: Annotated[
        list[str] | None,
        typer.Option(help="Machine description, name or .yaml file; may be repeated. [BEAMCTL_MACHINE, cafe2,lpi]"),
    ] = None,
    ion: Annotated[str | None, typer.Option(help="Ion that runs, name or .yaml file. [BEAMCTL_ION]")] = None,
    prefix: Annotated[str | None, typer.Option(help="Put in front of every PV name. [BEAMCTL_PREFIX]")] = None,
    server: Annotated[
        str | None, typer.Option(help="Address of a beamctl service to go through. [BEAMCTL_SERVER]")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the API key for it. [BEAMCTL_API_KEY, then: beamctl login]")
    ] = None,
) -> None:
    """Tune superconducting linac sections over EPICS with agents trained in simulation.

    First steps, in two terminals:

      beamctl ioc                      a simulated injector and linac on loopback
      beamctl tune cm1-orbit           correct the orbit of a cryomodule
      beamctl tune rfq-transmission    raise the current behind the RFQ

    Without EPICS_CA_ADDR_LIST in the environment beamctl talks to loopback only.

    With --server, tune, runs, abort, halt, advice, preflight, tasks and status ask a service (beamctl serve) instead of
    the machine and the store of this host.
    """
    settings = read_settings(
        machine=tuple(machine) if machine else None,
        ion=ion,
        prefix=prefix,
        server=server,
        api_key=None if key_file is None else _key(key_file),
    )
    context.obj = Deployment(settings)


def _key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise typer.BadParameter(f"--key-file {file}: {error.strerror}") from error


def deployment(context: typer.Context) -> Deployment:
    """What the root command has put together."""
    found: Deployment = context.obj
    return found


def is_remote(context: typer.Context, store: str | None = None) -> bool:
    """Whether a command goes through a service; a store that it was told itself comes first."""
    return store is None and deployment(context).settings.server is not None


def fail(error: BeamControlError) -> None:
    """Say what is wrong, without a traceback."""
    errors.print(f"[bold red]error:[/] {_escaped(str(error))}")


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def main() -> None:
    """Entry point: errors of ours end with one message and exit code 2."""
    from beamctl.cli import (  # noqa: F401  (commands register themselves)
        advice,
        agents,
        api_schema,
        demo,
        evaluate,
        ioc,
        login,
        machine,
        operate,
        preflight,
        runs,
        serve,
        status,
        store,
        train,
        tune,
        up,
    )

    try:
        app()
    except NotLoggedInError as error:
        fail(error)
        if error.code == "not-logged-in":
            errors.print("beamctl login, BEAMCTL_API_KEY or --key-file say who you are")
        sys.exit(EXIT_USAGE)
    except BeamControlError as error:
        fail(error)
        sys.exit(EXIT_USAGE)
    except BrokenPipeError:  # nobody reads the result: not a success
        os._exit(EXIT_NOT_REACHED)
