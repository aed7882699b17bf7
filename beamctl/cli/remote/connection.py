"""The service that a command was told to go through."""

import typer

from beamctl.cli.app import deployment
from beamctl.cli.remote.credentials import stored_token
from beamctl.client.client import Client
from beamctl.errors import ServiceError

PATIENCE_S = 5.0


def address(context: typer.Context) -> str:
    """Of the service.

    Raises:
        ServiceError: none was given.
    """
    server = deployment(context).settings.server
    if server is None:
        raise ServiceError("which service? say --server URL, or set BEAMCTL_SERVER", code="no-server")
    return server.rstrip("/")


def connected(context: typer.Context) -> Client:
    """A client as whoever the key, or the last login, says; to be used in a ``with`` block.

    Raises:
        ServiceError: no service was given.
    """
    server, given = address(context), deployment(context).settings.api_key
    key = given.get_secret_value() if given is not None else stored_token(server)
    return Client(server, key, patience_s=PATIENCE_S)
