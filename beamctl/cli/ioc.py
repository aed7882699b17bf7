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
    """Run a simulated machine that answers Channel Access (beamctl ioc --help for its options)."""
    settings = deployment(context).settings
    inherited = ["--prefix", settings.prefix]
    for name in settings.machine if "--machine" not in context.args else ():
        inherited += ["--machine", name]
    if settings.ion is not None:
        inherited += ["--ion", settings.ion]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ioc", *inherited, *context.args])  # noqa: S606
