"""The event stream format of WHATWG's HTML standard, section 9.2.6."""

import re
from dataclasses import dataclass

_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream; ``name`` is ``message`` where the server gives none."""

    name: str
    data: str


class EventParser:
    """Puts events together from bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that end within a chunk."""
        # a line feed that belongs to a carriage return may come with the next chunk
        seen = self._rest + chunk
        *lines, self._rest = [seen] if seen.endswith(b"\r") else _END.split(seen)
        return [event for line in lines if (event := self._line(line.decode("utf-8", "replace"))) is not None]

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            name, data = self._name or "message", self._data
            self._name, self._data = "", []
            return ServerEvent(name, "\n".join(data)) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None
