"""``beamctl serve``: the service with its interface for programs and its console for browsers."""

import logging
import os
import signal
from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.errors import ServingError
from beamctl.settings import Settings
from beamctl.store.open import open_store
from beamctl.wiring.deployment import Deployment

READY = "READY"
NICE = 5
"""where processors are scarce, who moves magnets comes first"""


@app.command()
def serve(
    context: typer.Context,
    store: Annotated[
        str | None,
        typer.Option("--store", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [BEAMCTL_STORE]"),
    ] = None,
    interface: Annotated[
        str | None, typer.Option(help="Address to listen at. [BEAMCTL_HTTP_INTERFACE, 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where to listen; 0: a free one. [BEAMCTL_HTTP_PORT, 8470]")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A reverse proxy in front speaks TLS. [BEAMCTL_HTTP_PROXY]")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Anybody on this host may log in as operator, for a soft machine.")
    ] = False,
    reset_admin: Annotated[
        bool, typer.Option("--reset-admin", help="Print a new password of the account admin, and end.")
    ] = False,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="A line per request on standard error.")] = False,
) -> None:
    """Serve the interface for programs and the console for browsers, from the store alone: it reaches no machine.

    At the first start it makes the account admin and prints its password, which has to be changed at the first login.
    Only loopback is served without TLS: set BEAMCTL_HTTP_CERTIFICATE and BEAMCTL_HTTP_KEY, or let a reverse proxy
    speak TLS and say --behind-proxy.
    """
    os.nice(NICE)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("beamctl.api.access").setLevel(logging.INFO if log_requests else logging.WARNING)
    d = deployment(context)
    given = {"store": store, "http_interface": interface, "http_port": port, "http_proxy": behind_proxy or None}
    settings = d.settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the server has its own while it runs; afterwards all is closed
    if reset_admin:
        _reset_admin(settings)
    else:
        _serve(d, settings, demo=demo)


def _serve(d: Deployment, settings: Settings, *, demo: bool) -> None:
    from beamctl.api.app import create_app
    from beamctl.api.first_start import close_demo, first_admin, open_demo
    from beamctl.api.server import listening, server_of
    from beamctl.api.service import Service
    from beamctl.wiring.serve.machines import DescribedMachines
    from beamctl.wiring.service import binding, is_loopback, service_options

    place, options = binding(settings), service_options(settings)
    if demo and (not is_loopback(settings.http_interface) or settings.http_proxy):
        raise ServingError("--demo lets anybody in who can reach the service: it is for loopback, without a proxy")
    with closing(listening(place)) as sock, open_store(settings.store) as store:
        service = Service(store, DescribedMachines(d, store), options)
        passwords = service.authentication.passwords
        password = first_admin(store, passwords)
        if password is not None:
            _show(password)
        if demo:
            service.options = replace(options, demo_user=open_demo(store, passwords))
        else:
            close_demo(store)
        host, at = sock.getsockname()[:2]
        url = f"{'https' if place.is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{at}"
        server = server_of(create_app(service), place, lambda: typer.echo(f"{READY} {url}"), service.end_streams)
        server.run([sock])


def _reset_admin(settings: Settings) -> None:
    from beamctl.api.auth.passwords import Passwords
    from beamctl.api.first_start import reset_admin

    with open_store(settings.store) as store, closing(Passwords()) as passwords:
        _show(reset_admin(store, passwords))


def _show(password: str) -> None:
    typer.echo(f"log in as admin with the password {password} (shown this once; to be changed at the login)")
