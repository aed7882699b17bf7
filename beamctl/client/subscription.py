"""The stream of what happens, without loss and without repetition, however often the connection breaks."""

import time
from collections import deque
from collections.abc import Sequence

import httpx
from pydantic import ValidationError

from beamctl.api.schemas.events import Event, Tick
from beamctl.api.schemas.machine import Live, Service
from beamctl.client.access import Access
from beamctl.client.calls import API, FIRST_PAUSE_S, LONGEST_PAUSE_S, ask
from beamctl.client.problems import is_passing, not_understood, problem_error, unreachable
from beamctl.client.server_events import EventParser, ServerEvent
from beamctl.client.work import Chunk, Open, Outgoing, Pause, Work

SILENT_S = 5.0
"""the service sends something every second; a connection without is lost"""
STREAM = "text/event-stream"
Message = Event | Live | Tick
KINDS: dict[str, type[Event] | type[Live] | type[Tick]] = {"record": Event, "live": Live, "tick": Tick}


class Subscription:
    """Reads the stream, and opens it again where it broke.

    Args:
        access: where and who.
        after: number of the last event that is known already; None: only what happens from now on.
        run: events of this run only.
        live: sections whose newest readings come along.
        patience_s: how long the service may be away.
    """

    def __init__(
        self,
        access: Access,
        *,
        after: int | None = None,
        run: int | None = None,
        live: Sequence[str] = (),
        patience_s: float = 60.0,
    ) -> None:
        self._access = access
        self._query = {"run": run, "live": list(live) or None}
        self._last = after
        self._patience_s = patience_s
        self._lost_since: float | None = None
        self._pause = FIRST_PAUSE_S
        self._opened: httpx.Response | None = None
        self._parser = EventParser()
        self._ready: deque[Message] = deque()

    def next(self) -> Work[Message]:
        """The next message.

        Raises:
            ServiceError: the service does not let us read it.
            ServiceUnreachableError: it was away for longer than patience lasts.
        """
        if self._last is None:  # so that nothing is lost if the connection breaks before the first event
            self._last = (yield from ask(self._access, "/service", Service)).last_event
        while not self._ready:
            if self._opened is None:
                yield from self._open()
            else:
                yield from self._read(self._opened)
        return self._ready.popleft()

    def _open(self) -> Work[None]:
        headers = {**self._access.headers(), "Accept": STREAM, "Last-Event-ID": str(self._last)}
        request = Outgoing("GET", f"{API}/events", self._query, headers, timeout_s=SILENT_S)
        answer: httpx.Response | httpx.RequestError = yield Open(request)
        if not isinstance(answer, httpx.Response):
            yield from self._lost(answer)
        elif answer.is_success and answer.headers.get("Content-Type", "").startswith(STREAM):
            self._opened, self._parser = answer, EventParser()
        elif is_passing(answer):
            yield from self._lost(None)
        elif answer.is_success:
            raise not_understood(answer, f"not {STREAM}")
        else:
            raise problem_error(answer)

    def _read(self, opened: httpx.Response) -> Work[None]:
        chunk: bytes | httpx.RequestError | None = yield Chunk()
        if isinstance(chunk, bytes):
            for event in self._parser.feed(chunk):
                self._take(opened, event)
        else:
            self._opened = None
            yield from self._lost(chunk)

    def _take(self, opened: httpx.Response, event: ServerEvent) -> None:
        kind = KINDS.get(event.name)
        if kind is None:  # of a newer service
            return
        try:
            message = kind.model_validate_json(event.data, extra="ignore")
        except ValidationError as error:
            raise not_understood(opened, f"{event.name}: {error.errors(include_input=False)[0]['msg']}") from error
        self._lost_since, self._pause = None, FIRST_PAUSE_S
        if isinstance(message, Event):
            if message.seq <= (self._last or 0):
                return
            self._last = message.seq
        self._ready.append(message)

    def _lost(self, error: httpx.RequestError | None) -> Work[None]:
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since + self._pause > self._patience_s:
            raise unreachable(self._access.url, error, now - self._lost_since) from error
        yield Pause(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
