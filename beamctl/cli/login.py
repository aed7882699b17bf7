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

    The password is asked for at the terminal, or read from standard input, and a new one where it has to be changed.
    The token of the session is kept in $XDG_CONFIG_HOME/beamctl/credentials.json, which nobody else can read.
    """
    from beamctl.cli.remote.connection import PATIENCE_S, address
    from beamctl.cli.remote.credentials import store_token
    from beamctl.client.client import Client

    server = address(context)
    who = name or _line(f"name at {server}")
    password = _secret("password")
    with Client(server, patience_s=PATIENCE_S) as client:
        session = client.session.log_in(who, password)
        if session.must_change_password:
            client.session.change_password(password, _secret("the password was set by somebody else; a new one"))
        file = store_token(server, session.name, session.token or "")
    until = "" if session.expires is None else f" until {session.expires.astimezone():%Y-%m-%d %H:%M}"
    typer.echo(f"logged in at {server} as {session.name} ({session.role}){until}; kept in {file}")


def _line(what: str) -> str:
    typer.echo(f"{what}: ", nl=False, err=True)
    return sys.stdin.readline().strip()


def _secret(what: str) -> str:
    """Not shown while it is typed."""
    return getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


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
