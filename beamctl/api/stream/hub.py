"""One ring of serialised events for all who listen; nothing is queued for anybody.

Every client has a cursor and takes from the ring what is behind it, when it is able to. One that reads slowly, or not
at all, costs its connection's buffer; one that has fallen out of the ring reads pages of the store.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from beamctl.api.problem import ProblemError
from beamctl.api.stream import frames
from beamctl.store.events import Event

RING = 5000
"""events that are kept"""
RING_BYTES = 32 * 2**20
"""or fewer, where they are large"""
SLACK = 1.25
"""the ring is cut when it is so much larger"""
MOST_STREAMS = 500
MOST_PER_ACCOUNT = 20
SEND_S = 30.0
"""longest time that a client may take to read what was sent"""
CHUNK_BYTES = 128 * 1024
"""about as much is sent at once"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, serialised once for all: as admins see it, and as the others do."""

    seq: int
    run: int | None
    full: bytes
    limited: bytes


@dataclass(eq=False, slots=True)
class Client:
    """Somebody who listens.

    Attributes:
        account: who it is.
        cursor: number of the last event that was sent, or passed over.
        run: only its events; None: all.
        sections: whose readings are wanted.
        is_admin: sees what accounts do.
        wake: set when there is something new.
        seen: numbers of the newest sent tick and readings, by section.
        sending_since: when it was begun to send what is not taken yet; None: everything was taken.
        check_at: when it has to be asked again whether the client may listen.
        drop: ends the stream of a client that does not read.
    """

    account: str
    cursor: int
    run: int | None = None
    sections: frozenset[str] = frozenset()
    is_admin: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    seen: dict[str, int] = field(default_factory=dict)
    sending_since: float | None = None
    check_at: float = 0.0
    drop: Callable[[], None] = lambda: None


TICK = ""
"""name under which the newest tick stands beside the sections"""


class Hub:
    """What everybody hears; of one event loop, and only to be used there.

    Attributes:
        end: number of the newest event.
        wanted: sections whose readings somebody wants; may be read from any thread.
        is_closed: everybody is being sent away.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._bytes = 0
        self._newest: dict[str, tuple[int, bytes]] = {}
        self._clients: set[Client] = set()
        self._accounts: Counter[str] = Counter()
        self.end = 0
        self.wanted: frozenset[str] = frozenset()
        self.is_closed = False

    @property
    def first(self) -> int:
        """Number of the oldest event in the ring; of the next one where it is empty."""
        return self._entries[0].seq if self._entries else self.end + 1

    @property
    def streams(self) -> int:
        """How many listen."""
        return len(self._clients)

    def join(self, client: Client) -> None:
        """Somebody begins to listen.

        Raises:
            ProblemError: too many do.
        """
        again = {"Retry-After": "5"}
        if len(self._clients) >= MOST_STREAMS:
            raise ProblemError("too-many", f"{MOST_STREAMS} event streams are open, that is all there may be", again)
        if self._accounts[client.account] >= MOST_PER_ACCOUNT:
            detail = f"{client.account} has {MOST_PER_ACCOUNT} event streams open: close some"
            raise ProblemError("too-many", detail, again)
        client.seen[TICK] = self._newest.get(TICK, (0, b""))[0]  # that one is old
        self._clients.add(client)
        self._accounts[client.account] += 1
        self.wanted |= client.sections

    def leave(self, client: Client) -> None:
        """Somebody listens no more; safe to call twice."""
        if client in self._clients:
            self._clients.remove(client)
            self._accounts[client.account] -= 1
            self._accounts += Counter()  # forgets zeros
            self.wanted = frozenset[str]().union(*(one.sections for one in self._clients))
            for section in client.sections - self.wanted:
                self._newest[section] = self._newest.get(section, (0, b""))[0], b""  # old by the time somebody asks

    def begin(self, end: int) -> None:
        """Events behind ``end`` will be published."""
        self.end = end

    def publish(self, entries: Sequence[Entry]) -> None:
        """Further events, in order."""
        self._entries.extend(entries)
        self._bytes += sum(map(_size, entries))
        if len(self._entries) > SLACK * RING or self._bytes > SLACK * RING_BYTES:
            self._cut()
        self.end = entries[-1].seq
        self._wake(lambda _: True)

    def publish_newest(self, found: Mapping[str, bytes]) -> None:
        """A tick, or readings of sections: whoever has not had the last ones gets only these."""
        for name, frame in found.items():
            self._newest[name] = self._newest.get(name, (0, b""))[0] + 1, frame
        is_tick = TICK in found
        self._wake(lambda client: is_tick or not client.sections.isdisjoint(found))

    def look_after(self) -> None:
        """To be called every second: drops who does not read, and wakes who has to be checked."""
        now = asyncio.get_running_loop().time()
        for client in self._clients:
            if client.sending_since is not None and now - client.sending_since > SEND_S:
                client.drop()
            elif now >= client.check_at:
                client.wake.set()

    def close(self) -> None:
        """Everybody is sent away."""
        self.is_closed = True
        self._wake(lambda _: True)

    def records(self, client: Client) -> bytes:
        """Events behind a client's cursor, about CHUNK_BYTES; moves it."""
        chunk, size = [], 0
        for entry in self._entries[max(0, client.cursor + 1 - self.first) :]:
            client.cursor = entry.seq
            if client.run is None or entry.run == client.run:
                chunk.append(entry.full if client.is_admin else entry.limited)
                size += len(chunk[-1])
                if size >= CHUNK_BYTES:
                    break
        return b"".join(chunk)

    def newest(self, client: Client) -> bytes:
        """Tick and readings that a client has not had."""
        found = []
        for name in (*client.sections, TICK):
            number, frame = self._newest.get(name, (0, b""))
            if number > client.seen.get(name, 0):
                client.seen[name] = number
                found.append(frame)
        return b"".join(found)

    def _cut(self) -> None:
        """Forget the oldest events."""
        gone = 0
        for entry in self._entries:
            if len(self._entries) - gone <= RING and self._bytes <= RING_BYTES:
                break
            gone += 1
            self._bytes -= _size(entry)
        del self._entries[:gone]

    def _wake(self, wants: Callable[[Client], bool]) -> None:
        for client in self._clients:
            if wants(client):
                client.wake.set()


def _size(entry: Entry) -> int:
    return len(entry.full) + (len(entry.limited) if entry.limited is not entry.full else 0)


def entry(event: Event) -> Entry:
    """An event for the ring."""
    limited = frames.record(event, is_admin=False)
    full = frames.record(event, is_admin=True) if event.kind in frames.OF_ACCOUNTS else limited
    return Entry(event.seq, event.run, full, limited)
