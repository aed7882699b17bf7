"""Refusals that are worth a line in the record, but never so many that they fill it."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from beamctl.errors import StoreError
from beamctl.store.audit import Audit

MOST_PER_MINUTE = 10
"""of one person"""
MOST_PEOPLE = 1000
log = logging.getLogger("beamctl.api")


class Refusals:
    """Writes down who was refused what; safe to use from several threads.

    Args:
        audit: where.
        clock: monotonic, s.
    """

    def __init__(self, audit: Audit, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, principal: str, action: str, reason: str, run: int | None = None) -> None:
        """Write one down, unless there were too many of this person; a store that fails changes no refusal."""
        if not self._has_room(principal):
            return
        try:
            self._audit.refused(principal, action[:200], reason, run=run)
        except StoreError as error:
            log.warning("a refusal could not be written down: %s", error)

    def _has_room(self, principal: str) -> bool:
        with self._lock:
            began, count = self._noted.pop(principal, (self._clock(), 0))
            if self._clock() - began >= 60.0:
                began, count = self._clock(), 0
            self._noted[principal] = began, count + 1
            while len(self._noted) > MOST_PEOPLE:
                self._noted.popitem(last=False)
            return count < MOST_PER_MINUTE
