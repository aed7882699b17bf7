"""Carries out the client's work and awaits it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import httpx

from beamctl.client.access import Access
from beamctl.client.work import Chunk, Item, Need, Open, Outgoing, Pause, Send, Stream, Work

T = TypeVar("T")
M = TypeVar("M")


class Awaiting:
    """Awaits, on asyncio or trio.

    Args:
        access: where and who.
        http: connections; may be shared by tasks.
    """

    def __init__(self, access: Access, http: httpx.AsyncClient) -> None:
        self.access = access
        self.http = http

    async def carry_out(self, work: Work[T]) -> T:
        """What work ends with."""
        answer: Any = None
        async with _line(self.http) as line:
            while True:
                try:
                    need = work.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = await line.meet(need)

    async def items(self, stream: Stream[M]) -> AsyncIterator[M]:
        """What a stream has, as it comes."""
        answer: Any = None
        async with _line(self.http) as line:
            while True:
                try:
                    need = stream.send(answer)
                except StopIteration:
                    return
                if isinstance(need, Item):
                    answer = None
                    yield need.value
                else:
                    answer = await line.meet(need)


class _Line:
    """Connections of one piece of work: at most one answer is open at a time."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._opened: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def meet(self, need: Need) -> Any:
        """Have what is needed; errors of the connection are an answer."""
        try:
            match need:
                case Send(request):
                    return await self._http.send(self._http.build_request(**request.options()))
                case Open(request):
                    return await self._open(request)
                case Chunk():
                    return None if self._chunks is None else await anext(self._chunks, None)
                case Pause(seconds):
                    return await anyio.sleep(seconds)
        except httpx.RequestError as error:
            return error

    async def close(self) -> None:
        """Leave what is open; safe to call twice."""
        if self._opened is not None:
            await self._opened.aclose()

    async def _open(self, request: Outgoing) -> httpx.Response:
        await self.close()
        self._opened = await self._http.send(self._http.build_request(**request.options()), stream=True)
        if self._opened.is_success:
            self._chunks = self._opened.aiter_bytes()
        else:
            await self._opened.aread()
        return self._opened


@asynccontextmanager
async def _line(http: httpx.AsyncClient) -> AsyncIterator[_Line]:
    line = _Line(http)
    try:
        yield line
    finally:
        await line.close()
