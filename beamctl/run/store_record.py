"""A run's record in the store: durable before anything that depends on it is done."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

from beamctl.engine.base import Reading, WriteResult
from beamctl.engine.guarded import Snapshot
from beamctl.engine.layout import SectionLayout
from beamctl.engine.restore import RestoreLine
from beamctl.errors import HaltedError, JournalError, LeaseLostError, StoreError
from beamctl.run.course import Array, Figures, Visit
from beamctl.store.journal import Put
from beamctl.store.leases import Lease
from beamctl.store.open import Store
from beamctl.store.states import RunState

_log = logging.getLogger(__name__)

MOST_EVENTS = 1_000_000
TAKEOVER = "takeover"
"""kind of the event that replaces a part of the snapshot"""


class StoreRecord:
    """See :class:`beamctl.run.record.Record`.

    Args:
        store: where.
        lease: of the section.
        run: number of the run.
        choice: what was asked for, so that the run can be replayed.
        max_steps: budget, for people.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        run: int,
        choice: Mapping[str, object] | None = None,
        max_steps: int | None = None,
    ) -> None:
        self._choice = choice or {}
        self._max_steps = max_steps
        self._store = store
        self._lease = lease
        self._run = run
        self._open: dict[str, int] = {}

    def intend(self, old: Mapping[str, float], new: Mapping[str, float]) -> None:
        """One durable commit for all puts of a step."""
        puts = [Put(pv, old[pv], value) for pv, value in new.items()]
        try:
            ids = self._store.journal.intend(self._lease, self._run, puts)
        except LeaseLostError as error:
            raise HaltedError(f"another process has the section now, nothing is written any more: {error}") from error
        except StoreError as error:
            raise JournalError(f"not written down, so not sent: {error}") from error
        self._open = dict(zip(new, ids, strict=True))

    def settle(self, results: Mapping[str, WriteResult]) -> None:
        """What became of them."""
        try:
            self._store.journal.settle({self._open[pv]: r for pv, r in results.items() if pv in self._open})
        except StoreError:
            _log.exception("what became of puts could not be written down; they stay open")

    def armed(self, layout: SectionLayout, snapshot: Snapshot) -> None:
        """The snapshot, with everything that a restore by another process needs."""
        # the limits in force are narrowed by the travel already, and JSON knows no infinity
        knobs = [{k: v for k, v in asdict(knob).items() if k != "travel"} for knob in layout.knobs]
        content = {
            "knobs": knobs,
            "choice": self._choice,
            "max_steps": self._max_steps,
            "setpoint_a": snapshot.setpoint_a.tolist(),
            "readback_a": snapshot.readback_a.tolist(),
            "identity": snapshot.identity,
            "current_ma": snapshot.current_ma,
        }
        self._durably(lambda: self._store.runs.set_snapshot(self._lease, self._run, content))

    def state(self, state: RunState, reason: str) -> None:
        """Where the run is."""
        self._durably(lambda: self._store.runs.set_state(self._lease, self._run, state, reason))

    def visited(self, step: int, visit: Visit, note: str, figures: Figures, seconds: float) -> None:
        """A setting, what was read there, and every raw sample."""
        self._append("visited", step, visit, {"note": note, "figures": dict(figures), "seconds": seconds})

    def measured_again(self, step: int, visit: Visit, figures: Figures, seconds: float) -> None:
        """The same setting, read again."""
        self._append("measured again", step, visit, {"figures": dict(figures), "seconds": seconds})

    def proposed(self, step: int, setpoint_a: Array, change_a: Array, predicted: Figures) -> None:
        """What a person has to look at before it is written."""
        payload = {
            "step": step,
            "setpoint_a": setpoint_a.tolist(),
            "change_a": change_a.tolist(),
            "predicted": dict(predicted),
        }
        self._durably(lambda: self._store.events.append("proposed", payload, self._run))

    def held(self, reason: str, restore_in_s: float | None) -> None:
        """For people only: a hold goes on whether this can be written down or not."""
        try:
            self._store.events.append("held", {"reason": reason, "restore_in_s": restore_in_s}, self._run)
        except StoreError:
            _log.exception("a hold could not be written down")

    def taken_over(self, values: Mapping[str, float]) -> None:
        """What recovery has to go back to instead of the snapshot."""
        self._durably(lambda: self._store.events.append(TAKEOVER, dict(values), self._run))

    def restored(self, lines: list[RestoreLine]) -> None:
        """A line per knob."""
        payload = [asdict(line) for line in lines]
        self._durably(lambda: self._store.events.append("restored", payload, self._run))

    def _append(self, kind: str, step: int, visit: Visit, more: Mapping[str, object]) -> None:
        payload = {
            "step": step,
            "setpoint_a": visit.setpoint_a.tolist(),
            "readback_a": visit.readback_a.tolist(),
            "values": visit.measured.values.tolist(),
            "valid": visit.measured.valid.tolist(),
            **more,
        }
        samples = list(_flat(visit.measured.raw))

        def write() -> None:
            self._store.samples.append(self._run, step, samples)
            self._store.events.append(kind, payload, self._run)

        self._durably(write)

    @staticmethod
    def _durably(write: Callable[[], object]) -> None:
        try:
            write()
        except StoreError as error:
            raise JournalError(f"not written down: {error}") from error


def taken_over(store: Store, run: int) -> dict[str, float]:
    """What a restore of a run goes back to instead of its snapshot, A by PV."""
    values: dict[str, float] = {}
    for event in store.events.read(run=run, limit=MOST_EVENTS):
        if event.kind == TAKEOVER:
            values |= event.payload
    return values


def _flat(raw: Mapping[str, Sequence[Reading]]) -> Iterable[tuple[str, Reading]]:
    return ((pv, reading) for pv, readings in raw.items() for reading in readings)
