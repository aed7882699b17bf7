"""``beamctl ioc``: the soft machine, in a process of its own."""

import os
import sys

import typer

from beamctl.cli.app import app, deployment


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
def ioc(context: typer.Context) -> None:
    """Run simulated machines that answer Channel Access (beamctl ioc --help for its options)."""
    settings = deployment(context).settings
    inherited = ["--prefix", settings.prefix]
    is_named = any(argument.partition("=")[0] == "--machine" for argument in context.args)
    for name in () if is_named else settings.machine:
        inherited += ["--machine", name]
    if settings.ion is not None:
        inherited += ["--ion", settings.ion]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ioc", *inherited, *context.args])  # noqa: S606
