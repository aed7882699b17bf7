"""What goes over the stream, byte by byte (text/event-stream)."""

from beamctl.api.schemas import events as told
from beamctl.api.schemas.machine import Live
from beamctl.store.events import Event

RETRY = b"retry: 1000\n\n"
"""how long a browser waits before it comes back, ms"""
BYE = b"event: bye\ndata: {}\n\n"
"""whoever listens may do so no longer"""
OF_ACCOUNTS = ("user", "key", "session")
"""kinds of events whose payload only admins see"""


def message(event: Event, *, is_admin: bool) -> told.Event:
    """An event as somebody may see it."""
    payload = event.payload if is_admin or event.kind not in OF_ACCOUNTS else None
    return told.Event(
        seq=event.seq, run=event.run, kind=event.kind, payload=payload, principal=event.principal, time=event.time
    )


def record(event: Event, *, is_admin: bool) -> bytes:
    """An event of the store; clients resume behind its number."""
    data = message(event, is_admin=is_admin).model_dump_json()
    return f"event: record\nid: {event.seq}\ndata: {data}\n\n".encode()


def live(reading: Live) -> bytes:
    """A reading."""
    return f"event: live\ndata: {reading.model_dump_json()}\n\n".encode()


def tick(now: told.Tick) -> bytes:
    """A sign of life."""
    return f"event: tick\ndata: {now.model_dump_json()}\n\n".encode()
