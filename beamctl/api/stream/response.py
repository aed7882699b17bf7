"""One open event stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from random import random

import anyio
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from beamctl.api.principal import Principal
from beamctl.api.problem import ProblemError
from beamctl.api.stream import frames
from beamctl.api.stream.hub import Client, Hub
from beamctl.errors import StoreError
from beamctl.store.open import Store
from beamctl.store.states import Role

_log = logging.getLogger("beamctl.api")
CHECK_S = 5.0
"""how often it is asked whether the client may still listen"""
PAGE = 200

StillThere = Callable[[], Awaitable[Principal | None]]


class EventStream(Response):
    """Sends until the client goes, may listen no longer, does not read, or the service ends.

    Args:
        hub: joined for as long as the stream is open.
        client: who listens.
        store: for what has fallen out of the hub's ring.
        still_there: who the client is now; None: nobody any more.
    """

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, client: Client, store: Store, still_there: StillThere) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._client = client
        self._store = store
        self._still_there = still_there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI.

        Raises:
            ProblemError: too many streams are open.
        """
        self._hub.join(self._client)
        try:
            async with anyio.create_task_group() as group:

                async def until_gone() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                def drop() -> None:
                    _log.warning("%s has not read its event stream for too long: closed", self._client.account)
                    group.cancel_scope.cancel()

                self._client.drop = drop
                group.start_soon(until_gone)
                await self._send_all(send)
                group.cancel_scope.cancel()
        finally:
            self._hub.leave(self._client)

    async def _send_all(self, send: Send) -> None:
        client, clock = self._client, asyncio.get_running_loop().time
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._chunks():
                client.sending_since = clock()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                client.sending_since = None
        except StoreError as error:
            _log.warning("an event stream of %s has ended, it may come back: %s", client.account, error)
        client.sending_since = clock()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        """What is to be sent, as fast as it is taken."""
        hub, client, clock = self._hub, self._client, asyncio.get_running_loop().time
        yield frames.RETRY
        client.check_at = clock() + CHECK_S * random()  # noqa: S311 - who came together is not asked together
        while not hub.is_closed:
            client.wake.clear()
            is_behind = client.cursor + 1 < hub.first
            chunk = await run_in_threadpool(self._page, hub.end) if is_behind else hub.records(client)
            chunk += hub.newest(client)
            if chunk:
                yield chunk
            if clock() >= client.check_at:
                client.check_at = clock() + CHECK_S
                if not await self._may_listen():
                    yield frames.BYE
                    return
            if client.cursor >= hub.end and not hub.is_closed:
                await client.wake.wait()

    def _page(self, end: int) -> bytes:
        """Events that have fallen out of the ring; moves the cursor."""
        client = self._client
        events = self._store.events.read(client.cursor, client.run, PAGE)
        client.cursor = events[-1].seq if len(events) == PAGE else max(end, *(event.seq for event in events), 0)
        return b"".join(frames.record(event, is_admin=client.is_admin) for event in events)

    async def _may_listen(self) -> bool:
        principal = await self._still_there()
        if principal is None or principal.must_change_password:
            return False
        self._client.is_admin = principal.role.covers(Role.ADMIN)
        return principal.role.covers(Role.VIEWER)


def asks_again(request: Request, recognise: Callable[[Request], Principal | None]) -> StillThere:
    """Whoever has made a request, as they are known later."""

    async def ask() -> Principal | None:
        try:
            return await run_in_threadpool(recognise, request)
        except ProblemError:
            return None

    return ask
