"""The control process at work: takes requests and commands from the store, one run per section, recovers first."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from beamctl.errors import BeamControlError, LeaseHeldError, LeaseLostError, StoreError
from beamctl.run.attempt import Attempt, Ending
from beamctl.run.inherited import CommandReader, known_outcome, settle_open
from beamctl.run.orders import PARKED, Orders
from beamctl.store.leases import Lease
from beamctl.store.open import Store
from beamctl.store.requests import Request
from beamctl.store.runs import NewRun, Run
from beamctl.store.states import RequestState, RunState, Verb

_log = logging.getLogger(__name__)

WAIT_S = 0.05
BEAT_S = 1.0


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
    """A section at work.

    Attributes:
        ending: how it has ended, as long as that could not be written down.
        is_over: nothing is written any more, and the lease is being given back.
    """

    run: Run
    orders: Orders
    lease: Lease
    thread: threading.Thread = field(init=False)
    ending: Ending | None = None
    is_over: bool = False


class Supervisor:
    """Serves until it is told to stop; then every run is aborted, which restores it.

    A store that fails does not end it: runs restore what they have moved, and orders are still read.

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
        self._unwritten: dict[str, _Active] = {}
        self._lock = threading.Lock()
        self._commands = CommandReader(store.commands)
        self._troubles: dict[str, str] = {}

    @property
    def sections(self) -> dict[str, Run]:
        """Who has which section, parked ones included."""
        with self._lock:
            working = {name: a.run for name, a in (self._unwritten | self._active).items()}
            return working | {name: run for name, (run, _) in self._parked.items()}

    @property
    def active(self) -> int:
        """Runs at work."""
        return len(self._active)

    def halt_all(self, by: str) -> None:
        """Freeze every run at once; needs neither store nor loop."""
        self._order_all(Verb.HALT, by)

    def recover(self) -> None:
        """Take over what an earlier control process has left behind."""
        self._adopt()
        begun = {run.request for run in self._store.runs.list(limit=1000)}
        for request in self._store.requests.list(RequestState.CLAIMED):
            if request.id not in begun:
                self._refuse(request, "the control process ended before the run began; nothing was written")

    def serve(self, stop: threading.Event) -> None:
        """Work until ``stop``; returns when every run has ended."""
        beat = 0.0
        try:
            with self._store.watch() as watch:
                while not (stop.is_set() and not self._active):
                    if stop.is_set():
                        self._order_all(Verb.ABORT, "the end of the control process")
                    if time.monotonic() >= beat:
                        beat = time.monotonic() + BEAT_S
                        self._try("beat", self._beat)
                        self._try("endings", self._write_endings)
                        self._try("adoption", self._adopt)
                    self._try("commands", self._take_commands)
                    if not stop.is_set():
                        self._try("requests", self._take_requests)
                    if not self._try("watch", lambda: watch.wait(WAIT_S)):
                        time.sleep(WAIT_S)
        finally:  # also on the way out of an error nobody has thought of: nothing is left as it is
            self._order_all(Verb.ABORT, "the end of the control process")
            for active in list(self._active.values()):
                active.thread.join()
            for _, lease in self._parked.values():
                lease.release()  # what is owed stands in the store

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        """Do something with the store; whether it could be done. A failure is told once, until it works again."""
        try:
            work()
        except StoreError as error:
            if self._troubles.get(what) != str(error):
                _log.error("%s: %s", what, error)
            self._troubles[what] = str(error)
            return False
        self._troubles.pop(what, None)
        return True

    def _order_all(self, verb: Verb, by: str) -> None:
        for active in list(self._active.values()):
            active.orders.give(verb, by)

    def _adopt(self) -> None:
        """Runs that nobody works on any more: their process is gone, or has left them to us."""
        for run in self._store.runs.unfinished():
            if run.section in self.sections:
                continue
            try:
                lease = self._store.leases.section(run.section)
            except LeaseHeldError:
                continue  # another process is at work on it
            try:
                self._adopt_one(self._store.runs.get(run.id), lease)
            except BaseException:
                lease.release()
                raise

    def _adopt_one(self, run: Run, lease: Lease) -> None:
        if run.ended is not None:
            lease.release()
            return
        settle_open(self._store, run.id)
        if run.snapshot is None:
            self._end(run, lease, (run.state, "not armed", "ended before anything was written"))
        elif run.state in (RunState.ACCEPTED, RunState.RESTORED):
            self._end(run, lease, (run.state, known_outcome(self._store, run), run.reason))
        elif run.state in (RunState.HALTED, RunState.FAULT):
            self._close_request(run, run.state.value)
            with self._lock:
                self._parked[run.section] = (run, lease)
        else:
            self._recover(run, lease)

    def _take_commands(self) -> None:
        for active in list(self._active.values()):
            if active.is_over:  # what comes now is for who parks it
                continue
            for command in self._commands.new(active.run.id):
                active.orders.give(command.verb, command.principal)
        for section, (run, lease) in list(self._parked.items()):
            for command in self._commands.new(run.id):
                if section in self._parked:
                    self._decide(section, run, lease, command.verb, command.principal)

    def _decide(self, section: str, run: Run, lease: Lease, verb: Verb, principal: str) -> None:
        """What a person wants with a section that waits."""
        if verb in (Verb.RESTORE, Verb.ABORT):
            self._recover(run, lease)
            with self._lock:
                del self._parked[section]
        elif verb in (Verb.CLEAR, Verb.LEAVE, Verb.ACCEPT):
            reason = f"{run.reason}; cleared by {principal}, nothing was written"
            self._store.runs.finish(lease, run.id, run.state, run.outcome or "cleared", reason, principal)
            with self._lock:
                del self._parked[section]
            lease.release()
            self._on_change()
        else:
            self._store.audit.refused(principal, verb.value, f"run {run.id} is {run.state.value}", run=run.id)

    def _take_requests(self) -> None:
        while (request := self._store.requests.claim()) is not None:
            lease = None
            try:
                closed = self._why_closed()
                if closed:
                    raise LeaseHeldError(closed)
                new = self._workshop.describe(request)
                owner = self.sections.get(new.section)
                if owner is not None:
                    raise LeaseHeldError(
                        f"{new.section} belongs to run {owner.id} ({owner.task}, "
                        f"{self._store.runs.get(owner.id).state.value}) of {owner.principal}: end that run first"
                    )
                self._store.check_space()
                lease = self._store.leases.section(new.section)
                run = self._store.runs.create(lease, new)
            except (BeamControlError, OSError) as error:
                if lease is not None:
                    lease.release()
                self._refuse(request, str(error))
                continue
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
            ending = build(active.orders).execute()
        except BaseException as error:
            _log.exception("run %d could not be carried out", run.id)
            ending = RunState.FAULT, "failed", f"{type(error).__name__}: {error}"
        active.is_over = True
        try:
            self._end(run, active.lease, ending)
        except StoreError:
            _log.exception("the end of run %d could not be written down; tried again later", run.id)
            active.ending = ending
        finally:
            with self._lock:
                if active.ending is not None:
                    self._unwritten[run.section] = active
                self._active.pop(run.section, None)
            self._on_change()

    def _end(self, run: Run, lease: Lease, ending: Ending) -> None:
        """Write down how a run has ended; one that owes something keeps its section."""
        (state, outcome, reason), runs = ending, self._store.runs
        if state in PARKED:
            runs.set_state(lease, run.id, state, reason)
            with self._lock:
                self._parked[run.section] = (runs.get(run.id), lease)
            self._close_request(run, outcome)
            return
        self._close_request(run, outcome)
        runs.finish(lease, run.id, state, outcome, reason)
        lease.release()

    def _write_endings(self) -> None:
        """What could not be written down when it happened."""
        for section, active in list(self._unwritten.items()):
            if active.ending is not None:
                with suppress(LeaseLostError):
                    self._end(active.run, active.lease, active.ending)
            with self._lock:
                del self._unwritten[section]

    def _close_request(self, run: Run, outcome: str) -> None:
        """The request of a run has been followed; that of a recovered run may be closed already."""
        if run.request is not None and self._store.requests.get(run.request).state is RequestState.CLAIMED:
            self._store.requests.finish(run.request, outcome)

    def _beat(self) -> None:
        self._on_beat()
        for active in list(self._active.values()):
            try:
                active.lease.beat()
            except LeaseLostError as error:
                if active.is_over:
                    continue
                _log.error("run %d has lost its section: %s", active.run.id, error)
                active.orders.give(Verb.HALT, "the loss of the section's lease")


def _is_attended(request: Request) -> bool:
    """Whether who asked wants to look at conflicts and at the end before anything is kept."""
    return bool((request.budgets or {}).get("review"))
