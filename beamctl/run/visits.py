"""The settings and readings of a run, as they were written down."""

import math
from typing import Any

import numpy as np

from beamctl.engine.reader import Measurement
from beamctl.run.course import Array, Visit
from beamctl.store.events import Event
from beamctl.store.open import Store

ALL = 10_000_000
VISITED, AGAIN = "visited", "measured again"


def visit_events(store: Store, run: int) -> list[Event]:
    """Every reading of a run, void ones included."""
    return [event for event in store.events.read(run=run, limit=ALL) if event.kind in (VISITED, AGAIN)]


def stored_visits(store: Store, run: int) -> list[Visit]:
    """The visits of a run; a reading that was made again replaces the void one."""
    visits: list[Visit] = []
    for event in visit_events(store, run):
        visit = stored_visit(event.payload)
        visits = [*visits[:-1], visit] if event.kind == AGAIN else [*visits, visit]
    return visits


def stored_visit(payload: Any) -> Visit:
    """One visit from the payload of its event."""
    measured = Measurement(numbers(payload["values"]), np.array(payload["valid"], dtype=bool))
    return Visit(numbers(payload["setpoint_a"]), numbers(payload["readback_a"]), measured)


def number(value: Any) -> float:
    """A number as JSON holds it, where NaN and infinities are text."""
    if isinstance(value, str):
        return {"NaN": math.nan, "-Infinity": -math.inf}.get(value, math.inf)
    return float(value)


def numbers(values: Any) -> Array:
    """An array as JSON holds it."""
    return np.array([number(value) for value in values])
