"""Many clients in one event loop: streams that are read or not, and requests at a steady rate."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field

_ID = re.compile(rb"\nid: (\d+)\n")


@dataclass
class Seen:
    """What one stream has received.

    Attributes:
        ids: of the events, in order.
        bytes, live, ticks: how much of what came.
        gaps: longest time without anything, s.
        drops: connections that ended.
    """

    ids: list[int] = field(default_factory=list)
    bytes: int = 0
    live: int = 0
    ticks: int = 0
    longest_gap_s: float = 0.0
    drops: int = 0


def head(method: str, path: str, key: str, body: bytes = b"", more: str = "") -> bytes:
    """A request."""
    lines = f"{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n{more}"
    if body:
        lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    elif method == "POST":
        lines += "Content-Length: 0\r\n"
    return lines.encode() + b"\r\n" + body


async def listen(port: int, key: str, query: str, seen: Seen, stop: asyncio.Event, begin: int | None = None) -> None:
    """Read the stream until ``stop``; comes back by Last-Event-ID when it ends."""
    while not stop.is_set():
        last = seen.ids[-1] if seen.ids else begin
        more = "" if last is None else f"Last-Event-ID: {last}\r\n"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        writer.write(head("GET", f"/events{query}", key, more=more))
        try:
            await _read(reader, seen, stop)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
        if not stop.is_set():
            seen.drops += 1
            await asyncio.sleep(0.2)


async def _read(reader: asyncio.StreamReader, seen: Seen, stop: asyncio.Event) -> None:
    rest, heard = b"", time.monotonic()
    await reader.readuntil(b"\r\n\r\n")
    while not stop.is_set():
        try:
            data = await asyncio.wait_for(_chunk(reader), 2.0)
        except TimeoutError:
            continue
        if not data:
            return
        now = time.monotonic()
        seen.longest_gap_s, heard = max(seen.longest_gap_s, now - heard), now
        seen.bytes += len(data)
        complete, _, rest = (rest + data).rpartition(b"\n\n")
        seen.ids += map(int, _ID.findall(complete))
        seen.live += complete.count(b"event: live")
        seen.ticks += complete.count(b"event: tick")


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline()).strip() or b"0", 16)
    data = await reader.readexactly(size + 2)
    return data[:-2]


async def stall(port: int, key: str, query: str, stop: asyncio.Event) -> None:
    """Ask for the stream and read nothing of it, again and again."""
    while not stop.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(head("GET", f"/events{query}", key))
        writer.transport.pause_reading()
        while not stop.is_set() and not writer.transport.is_closing():
            await asyncio.sleep(0.5)
        writer.transport.abort()
        del reader


class Connection:
    """One keep-alive connection; a request at a time."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(head(method, path, self._key, b"" if body is None else json.dumps(body).encode()))
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", lines)
            content = await reader.readexactly(int(length.group(1))) if length else b""
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        return int(lines.split()[1]), content

    def close(self) -> None:
        """Forget the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def at_a_rate(per_second: float, stop: asyncio.Event, work: object) -> None:
    """Call an async function at a steady rate, whether the ones before have ended or not."""
    pending: set[asyncio.Task[None]] = set()
    due, number = time.monotonic(), 0
    while not stop.is_set():
        task = asyncio.create_task(work(number))  # type: ignore[operator]
        pending.add(task)
        task.add_done_callback(pending.discard)
        number += 1
        due += 1 / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*pending, return_exceptions=True)
