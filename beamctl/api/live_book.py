"""What the machines read now, as the control process has published it last."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from beamctl.api import numbers
from beamctl.api.schemas.machine import Live
from beamctl.store.live import LiveRow
from beamctl.store.open import Store

FRESH_S = 3.0
"""an older reading is not believed"""
LOOK_S = 0.02
_WORDS = ("identity",)
_FLAGS = ("is_simulated",)
_MAYBE = ("permit", "enable")
_NUMBERS = ("heartbeat_age_s", "current_ma")
_ARRAYS = ("setpoint_a", "readback_a", "values", "median", "noise", "channel_age_s")
_LEVELS = ("knob_severity", "severity")


class LiveBook:
    """The newest rows, read again only when there are newer ones; safe to use from several threads.

    Args:
        store: where they are published.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._looked = -LOOK_S
        self._number = -1
        self._rows: dict[str, LiveRow] = {}

    def rows(self) -> dict[str, LiveRow]:
        """By section, and ``service``."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_S:
                number = self._store.live.number()
                if number != self._number:
                    self._rows = self._store.live.read()
                    self._number = number
                self._looked = time.monotonic()
            return self._rows

    @property
    def number(self) -> int:
        """Grows with every publication."""
        self.rows()
        return self._number

    def live(self, section: str) -> Live | None:
        """What a section reads; None where nobody has ever published it."""
        row = self.rows().get(section)
        return None if row is None else as_live(row)


def as_live(row: LiveRow) -> Live:
    """A row as a message; what the control process could not say is null."""
    p: Mapping[str, Any] = row.payload
    age_s = age(row)
    fields: dict[str, Any] = {name: str(p.get(name, "")) for name in _WORDS}
    fields |= {name: bool(p.get(name, False)) for name in _FLAGS}
    fields |= {name: None if p.get(name) is None else bool(p[name]) for name in _MAYBE}
    fields |= {name: numbers.number(p.get(name)) for name in _NUMBERS}
    fields |= {name: numbers.numbers(p.get(name)) for name in _ARRAYS}
    fields |= {name: [int(level) for level in p.get(name) or ()] for name in _LEVELS}
    return Live(
        section=row.section,
        time=row.time,
        age_s=age_s,
        is_fresh=age_s < FRESH_S,
        unfit=[str(reason) for reason in p.get("unfit") or ()],
        current_severity=int(p.get("current_severity", 4)),
        valid=[bool(is_valid) for is_valid in p.get("valid") or ()],
        figures=numbers.figures(p.get("figures")),
        **fields,
    )


def age(row: LiveRow) -> float:
    """How long ago a row was put together, s."""
    return max(0.0, (datetime.now(UTC) - row.time).total_seconds())
