"""The record of what happened, as pages and as a stream."""

from datetime import datetime
from typing import Any

from beamctl.api.schemas.base import Told
from beamctl.api.schemas.machine import Control


class Event(Told):
    """Something that happened.

    Attributes:
        seq: counts from 1 without gaps; what a client resumes by.
        run: null for what belongs to no run.
        kind: one word: what the payload is.
        payload: as it was written down; NaN and infinities are strings.
    """

    seq: int
    run: int | None
    kind: str
    payload: Any
    principal: str
    time: datetime


class Events(Told):
    """A page, the oldest first; ``end`` is the number of the newest event of all."""

    events: list[Event]
    end: int


class Tick(Told):
    """Sent every second, so that a stream that is lost is noticed.

    Attributes:
        end: number of the newest event.
    """

    time: datetime
    end: int
    control: Control


class Refusal(Told):
    """Somebody asked for something and did not get it."""

    id: int
    time: datetime
    principal: str
    action: str
    reason: str


class Refusals(Told):
    """A page, the latest first; ``next`` is the ``before`` of the next one, null at the end."""

    refusals: list[Refusal]
    next: int | None
