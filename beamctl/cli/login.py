"""``beamctl login`` and ``logout``: who one is at a service."""

import getpass
import sys
from contextlib import suppress
from typing import Annotated

import typer

from beamctl.cli.app import app
from beamctl.errors import NotLoggedInError


@app.command()
def login(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Of the account; asked for without.")] = None,
) -> None:
    """Log in at the service of --server, and stay so until the session ends or beamctl logout.

    The password is asked for at the terminal, or read from standard input. The token of the session is kept in
    $XDG_CONFIG_HOME/beamctl/credentials.json, which nobody else can read.
    """
    from beamctl.cli.remote.connection import PATIENCE_S, address
    from beamctl.cli.remote.credentials import store_token
    from beamctl.client.client import Client

    server = address(context)
    who = name or typer.prompt(f"name at {server}", err=True)
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with Client(server, patience_s=PATIENCE_S) as client:
        session = client.session.log_in(who, password)
        file = store_token(server, session.name, session.token or "")
    until = "" if session.expires is None else f" until {session.expires.astimezone():%Y-%m-%d %H:%M}"
    typer.echo(f"logged in at {server} as {session.name} ({session.role}){until}; kept in {file}")
    if session.must_change_password:
        typer.echo("the password was set by somebody else: change it in the console first, nothing else is allowed")


@app.command()
def logout(context: typer.Context) -> None:
    """End the session at the service of --server."""
    from beamctl.cli.remote.connection import PATIENCE_S, address
    from beamctl.cli.remote.credentials import forget_token, stored_token
    from beamctl.client.client import Client

    server = address(context)
    token = stored_token(server)
    if token is None:
        typer.echo(f"nobody was logged in at {server}")
        return
    with Client(server, token, patience_s=PATIENCE_S) as client, suppress(NotLoggedInError):
        client.session.log_out()
    forget_token(server)
    typer.echo(f"logged out at {server}")
