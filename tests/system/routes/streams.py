"""Clients of the event stream."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

PATIENCE_S = 60.0


class Stream:
    """A stream that is read in a thread; what came can be waited for."""

    def __init__(self, client: httpx.Client, **params: Any) -> None:
        headers = {"Last-Event-ID": str(params.pop("resume"))} if "resume" in params else {}
        self._context = client.stream("GET", "/events", params=params, headers=headers)
        self.response = self._context.__enter__()
        assert self.response.status_code == 200, self.response.read()
        self._arrived = threading.Condition()
        self._got: list[tuple[str, int | None, Any]] = []
        self.is_over = False
        self._thread = threading.Thread(target=self._read, name="stream")
        self._thread.start()

    def _read(self) -> None:
        name, number, data = "", None, ""
        try:
            for line in self.response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    number = int(value)
                elif field == "data":
                    data = value
                elif not line and name:
                    with self._arrived:
                        self._got.append((name, number, json.loads(data)))
                        self._arrived.notify_all()
                    name, number = "", None
        except (httpx.ReadError, httpx.StreamClosed, httpx.RemoteProtocolError):
            pass
        with self._arrived:
            self.is_over = True
            self._arrived.notify_all()

    def of(self, kind: str) -> list[Any]:
        """What came of a kind."""
        with self._arrived:
            return [data for name, _, data in self._got if name == kind]

    @property
    def ids(self) -> list[int]:
        """Numbers of the events that came."""
        with self._arrived:
            return [number for _, number, _ in self._got if number is not None]

    def wait_for(self, what) -> Any:
        """What ``what(self)`` gives, once it gives something."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._look(what), PATIENCE_S), self._got[-3:]
        return what(self)

    def _look(self, what) -> bool:
        self._arrived.release()
        try:
            return bool(what(self))
        finally:
            self._arrived.acquire()

    def close(self) -> None:
        """Close the connection; the thread ends. Safe to call twice."""
        if not self._thread.is_alive() and self.response.is_closed:
            return
        stream = self.response.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):  # the service was faster
            stream.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._context.__exit__(None, None, None)


@contextmanager
def stream(client: httpx.Client, **params: Any) -> Iterator[Stream]:
    """An open stream."""
    one = Stream(client, **params)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def stalled(port: int, key: str, **params: str) -> Iterator[socket.socket]:
    """A client that asks for the stream and never reads any of it."""
    query = "&".join(f"{name}={value}" for name, value in params.items())
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(
            f"GET /api/v1/events?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        yield connection
