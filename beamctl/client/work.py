"""What the client does, written once for programs that block and for those that await.

Every call is a generator that says what it needs next (send this, wait so long, give me more of the stream) and is told
what came of it. It never waits itself: :mod:`beamctl.client.blocking` and :mod:`beamctl.client.awaiting` do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from beamctl.client.access import Access
    from beamctl.client.awaiting import Awaiting
    from beamctl.client.blocking import Blocking

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M")
W = TypeVar("W", bound="Blocking | Awaiting")


@dataclass(frozen=True)
class Outgoing:
    """A request.

    Attributes:
        path: from the root of the service.
        query: None, and items that are None, are left out.
        headers, body: may hold keys and passwords, and are not shown with it.
        timeout_s: how long nothing may be heard.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float = 30.0

    def options(self) -> dict[str, Any]:
        """For ``build_request`` of an ``httpx`` client."""
        query = {name: value for name, value in self.query.items() if value is not None}
        return {
            "method": self.method, "url": self.path, "params": query, "headers": dict(self.headers),
            "content": self.body, "timeout": self.timeout_s,
        }  # fmt: skip


@dataclass(frozen=True)
class Send:
    """Needs the whole answer to a request: an ``httpx.Response``, or the ``httpx.RequestError`` that prevented it."""

    request: Outgoing


@dataclass(frozen=True)
class Open:
    """Needs the beginning of an answer, of which the rest will be read bit by bit; as :class:`Send`."""

    request: Outgoing


@dataclass(frozen=True)
class Chunk:
    """Needs more bytes of what was opened last; None at its end, or an ``httpx.RequestError``."""


@dataclass(frozen=True)
class Pause:
    """Needs time to pass."""

    seconds: float


@dataclass(frozen=True)
class Item(Generic[M]):
    """Has something for whoever reads a stream."""

    value: M


Need = Send | Open | Chunk | Pause
Work = Generator[Need, Any, T]
"""a call that ends with one answer"""
Stream = Generator[Need | Item[M], Any, None]
"""a call with many answers"""


class Group(Generic[W]):
    """Calls that belong together.

    Args:
        way: how they are carried out.
    """

    def __init__(self, way: W) -> None:
        self._way = way

    @property
    def _access(self) -> "Access":
        return self._way.access


class Call(Generic[P, T]):
    """A method of a :class:`Group`: an answer in the blocking client, an awaitable of it in the other."""

    def __init__(self, build: Callable[Concatenate[Any, P], Work[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, group: "Group[Blocking]", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: "Group[Awaiting]", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, group: Any, owner: type) -> Any:
        """Bound to a client."""
        return self if group is None else _bound(self._build, group, group._way.carry_out)


class Streamed(Generic[P, M]):
    """The same for many answers: an iterator, or an asynchronous one."""

    def __init__(self, build: Callable[Concatenate[Any, P], Stream[M]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, group: "Group[Blocking]", owner: type) -> Callable[P, Iterator[M]]: ...
    @overload
    def __get__(self, group: "Group[Awaiting]", owner: type) -> Callable[P, AsyncIterator[M]]: ...
    def __get__(self, group: Any, owner: type) -> Any:
        """Bound to a client."""
        return self if group is None else _bound(self._build, group, group._way.items)


def _bound(build: Callable[..., Any], group: object, carry_out: Callable[[Any], Any]) -> Callable[..., Any]:
    method = MethodType(build, group)

    @wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        return carry_out(method(*args, **options))

    return call
