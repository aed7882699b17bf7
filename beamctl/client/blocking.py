"""Carries out the client's work and waits for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from beamctl.client.access import Access
from beamctl.client.work import Chunk, Item, Need, Open, Outgoing, Pause, Send, Stream, Work

T = TypeVar("T")
M = TypeVar("M")


class Blocking:
    """Waits in the thread that calls.

    Args:
        access: where and who.
        http: connections; may be shared by threads.
    """

    def __init__(self, access: Access, http: httpx.Client) -> None:
        self.access = access
        self.http = http

    def carry_out(self, work: Work[T]) -> T:
        """What work ends with."""
        answer: Any = None
        with _line(self.http) as line:
            while True:
                try:
                    need = work.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = line.meet(need)

    def items(self, stream: Stream[M]) -> Iterator[M]:
        """What a stream has, as it comes."""
        answer: Any = None
        with _line(self.http) as line:
            while True:
                try:
                    need = stream.send(answer)
                except StopIteration:
                    return
                if isinstance(need, Item):
                    answer = None
                    yield need.value
                else:
                    answer = line.meet(need)


class _Line:
    """Connections of one piece of work: at most one answer is open at a time."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._opened: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def meet(self, need: Need) -> Any:
        """Have what is needed; errors of the connection are an answer."""
        try:
            match need:
                case Send(request):
                    return self._http.send(self._http.build_request(**request.options()))
                case Open(request):
                    return self._open(request)
                case Chunk():
                    return next(self._chunks, None)
                case Pause(seconds):
                    return time.sleep(seconds)
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        """Leave what is open; safe to call twice."""
        if self._opened is not None:
            self._opened.close()

    def _open(self, request: Outgoing) -> httpx.Response:
        self.close()
        self._opened = self._http.send(self._http.build_request(**request.options()), stream=True)
        if self._opened.is_success:
            self._chunks = self._opened.iter_bytes()
        else:
            self._opened.read()
        return self._opened


@contextmanager
def _line(http: httpx.Client) -> Iterator[_Line]:
    line = _Line(http)
    try:
        yield line
    finally:
        line.close()
