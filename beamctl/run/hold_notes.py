"""Tells of a hold all the time, and writes down what is new about it."""

import math

from beamctl.engine.base import Clock
from beamctl.run.events import Held
from beamctl.run.record import Record
from beamctl.run.voice import Voice

AGAIN_S = 5.0
"""a reason that has changed is written down again after so long at the earliest: many hold a number that counts"""
SHIFT_S = 1.0
"""an end of the wait that has moved by more than this is news"""


class HoldNotes:
    """The notes of one run.

    Args:
        clock: that time is told by.
        voice, record: who is told, and where it is written down.
    """

    def __init__(self, clock: Clock, voice: Voice, record: Record) -> None:
        self._clock = clock
        self._voice = voice
        self._record = record
        self.begin()

    def begin(self) -> None:
        """Another hold: whatever comes next is news."""
        self._reason, self._noted_s, self._ends_s = "", -math.inf, math.nan

    def note(self, reason: str, seconds: float, restore_in_s: float | None) -> None:
        """The hold goes on; arguments as :class:`beamctl.run.events.Held`."""
        self._voice.tell(Held(reason, seconds, restore_in_s))
        now = self._clock.now()
        ends = math.inf if restore_in_s is None else now + restore_in_s
        is_moved = not (ends == self._ends_s or abs(ends - self._ends_s) <= SHIFT_S)
        if is_moved or (reason != self._reason and now - self._noted_s >= AGAIN_S):
            self._record.held(reason, restore_in_s)
            self._reason, self._noted_s, self._ends_s = reason, now, ends
