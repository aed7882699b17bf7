"""HTTP/1.1 with patience that ends: a connection that asks for nothing takes no place for long, and little memory."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0
"""longest time from the beginning of a connection, or of a request, to the end of the request's head"""
HEAD_BYTES = 64 * 1024
"""a longer head is not read to its end"""
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """As uvicorn has it, but a connection is closed where the head of a request does not arrive, or does not end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Somebody says something."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._head_bytes = 0 if self._deadline is None else self._head_bytes + len(data)
        if self._head_bytes > HEAD_BYTES:
            self.transport.write(_TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._deadline is None:
            self._start()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
