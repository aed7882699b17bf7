"""What the control process has to say of itself: written by its threads, shown by whoever listens.

Nothing here waits for anybody, and nothing that a listener does comes back to the thread that writes.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypedDict, Unpack

from beamctl.store.states import RunState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Of the process as a whole.

    Attributes:
        ready: it takes requests.
        permit_to_act: it may write now: tuner-enable and permit of the section that runs, or of all machines when idle.
        halt: a person has frozen every run, and nothing starts until a person takes that back.
        runs_active: runs that have not ended.
    """

    ready: bool = False
    permit_to_act: bool = False
    halt: bool = False
    runs_active: int = 0


@dataclass(frozen=True, slots=True)
class SectionStatus:
    """Of one section.

    Attributes:
        state: of its run, or of the last one.
        reason: why it is in that state.
        run: number of the run, 0 before the first.
        step: steps taken.
        max_steps: steps that the run may take.
        objective: the newest reading of what is tuned, in the section's unit; NaN before the first.
        best: the best reading of this run.
        restore_owed: something that was written has not been restored, and nobody has accepted it.
        user: who asked for the run.
    """

    state: RunState = RunState.IDLE
    reason: str = ""
    run: int = 0
    step: int = 0
    max_steps: int = 0
    objective: float = math.nan
    best: float = math.nan
    restore_owed: bool = False
    user: str = ""

    @property
    def progress_percent(self) -> float:
        """Share of its steps that the run has taken; a run that ends early ends below 100."""
        return 100.0 * self.step / self.max_steps if self.max_steps > 0 else 0.0


class ServiceChange(TypedDict, total=False):
    """Fields of :class:`ServiceStatus`."""

    ready: bool
    permit_to_act: bool
    halt: bool
    runs_active: int


class SectionChange(TypedDict, total=False):
    """Fields of :class:`SectionStatus`."""

    state: RunState
    reason: str
    run: int
    step: int
    max_steps: int
    objective: float
    best: float
    restore_owed: bool
    user: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment; sections that nobody has mentioned yet are missing."""

    service: ServiceStatus = ServiceStatus()
    sections: Mapping[str, SectionStatus] = field(default_factory=lambda: MappingProxyType({}))

    def section(self, name: str) -> SectionStatus:
        """Of one section, mentioned or not."""
        return self.sections.get(name, _UNTOUCHED)


_UNTOUCHED = SectionStatus()


class SectionBoard:
    """One section's part of a board."""

    def __init__(self, board: "StatusBoard", name: str) -> None:
        self._board = board
        self.name = name

    def update(self, **changes: Unpack[SectionChange]) -> None:
        """Replace some fields at once; whoever looks sees all of the change or nothing."""
        self._board.update_section(self.name, **changes)

    @property
    def status(self) -> SectionStatus:
        """At this moment."""
        return self._board.snapshot().section(self.name)


class StatusBoard:
    """The newest state of everything, for any number of threads.

    Args:
        beats_within_s: how old the last :meth:`beat` may be for :attr:`is_alive`.
        now: a monotonic clock, s.
    """

    def __init__(self, beats_within_s: float = 5.0, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._snapshot = Snapshot()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._beats_within_s = beats_within_s
        self._now = now
        self._last_beat: float | None = None

    def service(self, **changes: Unpack[ServiceChange]) -> None:
        """Replace some fields of the process's own status."""
        with self._lock:
            before = self._snapshot
            self._snapshot = replace(before, service=replace(before.service, **changes))
            is_news = self._snapshot.service != before.service
        if is_news:
            self._tell()

    def section(self, name: str) -> SectionBoard:
        """One section's part."""
        return SectionBoard(self, name)

    def update_section(self, name: str, **changes: Unpack[SectionChange]) -> None:
        """See :meth:`SectionBoard.update`."""
        with self._lock:
            sections = self._snapshot.sections
            before = sections.get(name)
            after = replace(before or _UNTOUCHED, **changes)
            self._snapshot = replace(self._snapshot, sections=MappingProxyType({**sections, name: after}))
        if after != before:
            self._tell()

    def beat(self) -> None:
        """The loop that decides is alive; from the first call on it has to say so again and again."""
        self._last_beat = self._now()

    @property
    def is_alive(self) -> bool:
        """Whether the last beat is recent; true as long as nobody beats at all."""
        last = self._last_beat
        return last is None or self._now() - last <= self._beats_within_s

    @property
    def ready(self) -> bool:
        """Whether the process takes requests."""
        return self._snapshot.service.ready

    @property
    def halt(self) -> bool:
        """Whether a person has frozen every run."""
        return self._snapshot.service.halt

    def snapshot(self) -> Snapshot:
        """Everything at this moment; never changes afterwards."""
        return self._snapshot

    def listen(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Have every change told.

        Args:
            on_change: called by the thread that made the change, so it must only wake somebody.

        Returns:
            ends it; may be called more than once.
        """

        def forget() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not on_change)

        with self._lock:
            self._listeners = (*self._listeners, on_change)
        return forget

    def _tell(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                _log.exception("a listener of the status board failed")
