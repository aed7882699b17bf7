"""The web server: one socket, bounded everything, and an end that waits for nobody."""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from beamctl.api.protocol import PatientProtocol
from beamctl.errors import PortInUseError

MOST_CONNECTIONS = 1000
"""event streams are half of it, at most"""
UNREAD_S = 30
"""a client that does not take for so long what was sent is gone"""
END_S = 1
"""how long answers that have begun may take to end"""


@dataclass(frozen=True)
class Binding:
    """Where the service listens.

    Attributes:
        interface: address.
        port: 0: any free one.
        certificate, key: of TLS, PEM files; None: plain http.
    """

    interface: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_tls(self) -> bool:
        """It speaks https itself."""
        return self.certificate is not None


class Server(uvicorn.Server):
    """A server that says when it is ready, and ends its streams first when it is told to end.

    Args:
        config: of uvicorn.
        on_ready: called when connections are accepted.
        on_end: called when no more are; has to end what never ends by itself.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_end = on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._on_end()
        await super().shutdown(sockets)


def listening(binding: Binding) -> socket.socket:
    """A socket at the place where the service listens; nobody is answered yet.

    Raises:
        PortInUseError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in binding.interface else socket.AF_INET
    # with the protocol named, or asyncio would not switch Nagle's algorithm off: 40 ms per answer
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # what is accepted inherits it: the kernel drops who does not read
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_S)
        found.bind((binding.interface, binding.port))
    except OSError as error:
        found.close()
        raise PortInUseError(
            f"cannot listen at {binding.interface} port {binding.port}: {error.strerror}: choose another --port"
        ) from error
    return found


def server_of(app: FastAPI, binding: Binding, on_ready: Callable[[], None], on_end: Callable[[], None]) -> Server:
    """A server for an application.

    Args:
        app: what answers.
        binding: how it speaks; the socket comes from :func:`listening`.
        on_ready, on_end: as :class:`Server`.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=END_S,
        ssl_certfile=binding.certificate,
        ssl_keyfile=binding.key,
    )
    return Server(config, on_ready, on_end)
