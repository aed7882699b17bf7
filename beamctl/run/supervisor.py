"""The control process at work: takes requests and commands from the store, one run per section, recovers first."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from beamctl.errors import BeamControlError, LeaseHeldError, StoreError
from beamctl.run.attempt import Attempt
from beamctl.run.orders import Orders
from beamctl.store.leases import Lease
from beamctl.store.open import Store
from beamctl.store.requests import Request
from beamctl.store.runs import NewRun, Run
from beamctl.store.states import RequestState, RunState, Verb

_log = logging.getLogger(__name__)

WAIT_S = 0.05
BEAT_S = 1.0
PARKED = (RunState.HALTED, RunState.FAULT, RunState.UNKNOWN)
"""states in which a section waits for a person"""


class Workshop(Protocol):
    """Builds what runs on a machine; see :mod:`beamctl.wiring.control`."""

    def describe(self, request: Request) -> NewRun:
        """What the run of a request will be.

        Raises:
            BeamControlError: it cannot be run here; says why.
        """

    def attempt(self, request: Request, lease: Lease, run: Run, orders: Orders) -> Attempt:
        """The run itself."""

    def recovery(self, lease: Lease, run: Run, orders: Orders) -> Attempt:
        """Bringing back what a run has left behind."""


@dataclass
class _Active:
    """A section at work."""

    run: Run
    orders: Orders
    lease: Lease
    thread: threading.Thread = field(init=False)


class Supervisor:
    """Serves until it is told to stop; then every run is aborted, which restores it.

    Args:
        store: requests, commands, runs.
        workshop: builds runs.
        on_change: told when something is different, for status displays.
        on_beat: told every second that the loop lives.
        why_closed: why no new run may begin; empty where it may.
    """

    def __init__(
        self,
        store: Store,
        workshop: Workshop,
        on_change: Callable[[], None] = lambda: None,
        on_beat: Callable[[], None] = lambda: None,
        why_closed: Callable[[], str] = lambda: "",
    ) -> None:
        self._on_beat = on_beat
        self._why_closed = why_closed
        self._store = store
        self._workshop = workshop
        self._on_change = on_change
        self._active: dict[str, _Active] = {}
        self._parked: dict[str, tuple[Run, Lease]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()

    @property
    def sections(self) -> dict[str, Run]:
        """Who has which section, parked ones included."""
        with self._lock:
            return {name: a.run for name, a in self._active.items()} | {n: run for n, (run, _) in self._parked.items()}

    @property
    def active(self) -> int:
        """Runs at work."""
        return len(self._active)

    def halt_all(self, by: str) -> None:
        """Freeze every run at once; needs neither store nor loop."""
        for active in list(self._active.values()):
            active.orders.give(Verb.HALT, by)

    def recover(self) -> None:
        """Take over what an earlier control process has left behind."""
        for run in self._store.runs.unfinished():
            lease = self._store.leases.section(run.section)
            if run.snapshot is None:
                self._store.runs.finish(lease, run.id, run.state, "not armed", "ended before anything was written")
                self._close_request(run, "not armed")
                lease.release()
            elif run.state in (RunState.HALTED, RunState.FAULT):
                self._parked[run.section] = (run, lease)
            else:
                self._recover(run, lease)
        begun = {run.request for run in self._store.runs.list(limit=1000)}
        for request in self._store.requests.list(RequestState.CLAIMED):
            if request.id not in begun:
                self._refuse(request, "the control process ended before the run began; nothing was written")

    def serve(self, stop: threading.Event) -> None:
        """Work until ``stop``; returns when every run has ended."""
        beat = 0.0
        with self._store.watch() as watch:
            while not (stop.is_set() and not self._active):
                if stop.is_set():
                    for active in self._active.values():
                        active.orders.give(Verb.ABORT, "the end of the control process")
                if time.monotonic() >= beat:
                    beat = time.monotonic() + BEAT_S
                    self._beat()
                self._take_commands()
                if not stop.is_set():
                    self._take_requests()
                watch.wait(WAIT_S)

    def _take_commands(self) -> None:
        for active in list(self._active.values()):
            for command in self._store.commands.take(active.run.id):
                active.orders.give(command.verb, command.principal)
        for section, (run, lease) in list(self._parked.items()):
            for command in self._store.commands.take(run.id):
                self._decide(section, run, lease, command.verb, command.principal)

    def _decide(self, section: str, run: Run, lease: Lease, verb: Verb, principal: str) -> None:
        """What a person wants with a section that waits."""
        if verb in (Verb.RESTORE, Verb.ABORT):
            del self._parked[section]
            self._recover(run, lease)
        elif verb in (Verb.CLEAR, Verb.LEAVE, Verb.ACCEPT):
            del self._parked[section]
            reason = f"{run.reason}; cleared by {principal}, nothing was written"
            self._store.runs.finish(lease, run.id, run.state, run.outcome or "cleared", reason, principal)
            lease.release()
            self._on_change()
        else:
            self._store.audit.refused(principal, verb.value, f"run {run.id} is {run.state.value}", run=run.id)

    def _take_requests(self) -> None:
        while (request := self._store.requests.claim()) is not None:
            try:
                closed = self._why_closed()
                if closed:
                    raise LeaseHeldError(closed)
                new = self._workshop.describe(request)
                owner = self.sections.get(new.section)
                if owner is not None:
                    raise LeaseHeldError(
                        f"{new.section} belongs to run {owner.id} ({owner.task}, {owner.state.value}) "
                        f"of {owner.principal}: end that run first"
                    )
                self._store.check_space()
                lease = self._store.leases.section(new.section)
            except (BeamControlError, OSError) as error:
                self._refuse(request, str(error))
                continue
            run = self._store.runs.create(lease, new)
            self._start(run, lease, partial(self._workshop.attempt, request, lease, run), _is_attended(request))

    def _refuse(self, request: Request, reason: str) -> None:
        self._store.requests.refuse(request.id, reason)
        self._store.audit.refused(request.principal, f"tune {request.task}", reason, {"request": request.id})

    def _recover(self, run: Run, lease: Lease) -> None:
        self._store.runs.set_state(lease, run.id, RunState.RECOVERING, "the control process was restarted")
        self._start(run, lease, partial(self._workshop.recovery, lease, run), is_attended=True)

    def _start(self, run: Run, lease: Lease, build: Callable[[Orders], Attempt], is_attended: bool) -> None:
        active = _Active(run, Orders(is_attended=is_attended), lease)
        active.thread = threading.Thread(target=self._work, args=(active, build), name=f"run-{run.id}", daemon=True)
        with self._lock:
            self._active[run.section] = active
        active.thread.start()
        self._on_change()

    def _work(self, active: _Active, build: Callable[[Orders], Attempt]) -> None:
        """The thread of one run: builds it, lets it run, writes down how it ended."""
        run = active.run
        try:
            attempt = build(active.orders)
            state, outcome, reason = attempt.execute()
        except Exception as error:
            _log.exception("run %d could not be carried out", run.id)
            state, outcome, reason = RunState.FAULT, "failed", f"{type(error).__name__}: {error}"
        try:
            self._finish(active, state, outcome, reason)
        except StoreError:
            _log.exception("the end of run %d could not be written down; it is recovered at the next start", run.id)
        finally:
            with self._lock:
                self._active.pop(run.section, None)
            self._on_change()

    def _finish(self, active: _Active, state: RunState, outcome: str, reason: str) -> None:
        run, lease, runs = active.run, active.lease, self._store.runs
        self._close_request(run, outcome)
        if state in PARKED:
            runs.set_state(lease, run.id, state, reason)
            with self._lock:
                self._parked[run.section] = (runs.get(run.id), lease)
            return
        runs.finish(lease, run.id, state, outcome, reason)
        lease.release()

    def _close_request(self, run: Run, outcome: str) -> None:
        """The request of a run has been followed; that of a recovered run may be closed already."""
        if run.request is not None and self._store.requests.get(run.request).state is RequestState.CLAIMED:
            self._store.requests.finish(run.request, outcome)

    def _beat(self) -> None:
        self._on_beat()
        for active in list(self._active.values()):
            try:
                active.lease.beat()
            except StoreError as error:
                _log.error("run %d has lost its section: %s", active.run.id, error)
                active.orders.give(Verb.HALT, "the loss of the section's lease")


def _is_attended(request: Request) -> bool:
    """Whether who asked wants to look at conflicts and at the end before anything is kept."""
    return bool((request.budgets or {}).get("review"))
