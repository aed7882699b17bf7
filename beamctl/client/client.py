"""Clients of the service: :class:`Client` for programs that block, :class:`AsyncClient` for those that await.

Both have the same calls with the same arguments::

    from beamctl.client.client import Client

    with Client("http://127.0.0.1:8642", key="bck_...") as client:
        request = client.runs.start("cm1-orbit")
        run = client.requests.settled(request.id).run
        for event in client.runs.follow(run):
            print(event.kind)

What is only read, and what the service knows again by its idempotency key, is tried again while the service is away.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Self

import httpx

from beamctl.api.schemas.events import Event
from beamctl.api.schemas.machine import Health, Live, Service
from beamctl.client.access import Access
from beamctl.client.awaiting import Awaiting
from beamctl.client.blocking import Blocking
from beamctl.client.calls import answered, ask, told
from beamctl.client.groups.accounts import KeyCalls, UserCalls
from beamctl.client.groups.agents import AgentCalls
from beamctl.client.groups.machine import MachineCalls, PreflightCalls
from beamctl.client.groups.record import RecordCalls
from beamctl.client.groups.requests import RequestCalls
from beamctl.client.groups.runs import PATIENCE_S, RunCalls
from beamctl.client.groups.session import SessionCalls
from beamctl.client.subscription import Subscription
from beamctl.client.work import Call, Group, Item, Outgoing, Stream, Streamed, W, Work
from beamctl.errors import ServiceError


class Calls(Group[W]):
    """Everything that the service can be asked, by what it is about."""

    def __init__(self, way: W) -> None:
        super().__init__(way)
        self.session = SessionCalls(way)
        self.machine = MachineCalls(way)
        self.runs = RunCalls(way)
        self.requests = RequestCalls(way)
        self.preflight = PreflightCalls(way)
        self.agents = AgentCalls(way)
        self.record = RecordCalls(way)
        self.users = UserCalls(way)
        self.keys = KeyCalls(way)

    @property
    def url(self) -> str:
        """Of the service."""
        return self._access.url

    @Call
    def service(self) -> Work[Service]:
        """Versions, machines, whether a control process is there."""
        return ask(self._access, "/service", Service)

    @Call
    def ready(self) -> Work[Health]:
        """Whether runs could begin now; needs no login."""
        answer = yield from answered(
            self._access,
            Outgoing("GET", "/readyz"),
            is_repeatable=True,
            is_answer=lambda a: a.status_code in (200, 503),
        )
        return told(answer, Health)

    @Call
    def metrics(self) -> Work[str]:
        """For Prometheus."""
        return (yield from answered(self._access, Outgoing("GET", "/metrics"), is_repeatable=True)).text

    @Streamed
    def events(
        self,
        *,
        after: int | None = None,
        run: int | None = None,
        live: Sequence[str] = (),
        patience_s: float = PATIENCE_S,
    ) -> Stream[Event | Live]:
        """What happens, without end; where the connection breaks it is opened again, and no event is lost or repeated.

        Args:
            after: number of the last event that is known already, 0: from the very first; None: from now on.
            run: events of this run only.
            live: sections whose newest readings come along, up to 10 times a second; these may be lost.
            patience_s: how long the service may be away.

        Raises:
            ServiceUnreachableError: it was away for longer.
        """
        subscription = Subscription(self._access, after=after, run=run, live=live, patience_s=patience_s)
        while True:
            message = yield from subscription.next()
            if isinstance(message, Event | Live):
                yield Item(message)


class Client(Calls[Blocking]):
    """Calls that return when the answer is there; safe to share between threads, except for logging in and out.

    Args:
        url: of the service, for example ``http://127.0.0.1:8642``.
        key: API key, or token of a session; None: log in by ``client.session.log_in``.
        patience_s: for how long a call that may be repeated is tried again where the service does not answer.
        transport: of ``httpx``, instead of the network.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        access = Access(_checked(url), key or "", patience_s)
        super().__init__(Blocking(access, httpx.Client(transport=transport, **_options(access))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._way.http.close()


class AsyncClient(Calls[Awaiting]):
    """Calls that are awaited; arguments as :class:`Client`.

    Example:
        async with AsyncClient("http://127.0.0.1:8642", key) as client:
            async for event in client.events(run=17, after=0):
                print(event)
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        access = Access(_checked(url), key or "", patience_s)
        super().__init__(Awaiting(access, httpx.AsyncClient(transport=transport, **_options(access))))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._way.http.aclose()


def _checked(url: str) -> str:
    """Without the slash at its end.

    Raises:
        ServiceError: not the address of a service.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ServiceError(f"{url!r} is no address: {error}", code="bad-address") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ServiceError(f"{url!r} is no address like http://127.0.0.1:8642 or https://HOST", code="bad-address")
    return url.rstrip("/")


def _options(access: Access) -> dict[str, Any]:
    """Of both kinds of ``httpx`` client; a proxy never stands between us and our own host."""
    return {"base_url": access.url, "trust_env": not _is_loopback(httpx.URL(access.url).host)}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
