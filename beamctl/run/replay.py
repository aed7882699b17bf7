"""The stored samples of a run through the same code again: every decision has to come out bit by bit the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement, combined
from beamctl.errors import StoreConflictError
from beamctl.run.course import Array, Course, Visit
from beamctl.run.visits import AGAIN, VISITED, visit_events
from beamctl.store.open import Store
from beamctl.store.samples import Sample


@dataclass(frozen=True)
class ReplayReport:
    """What the replay found.

    Attributes:
        readings, decisions: how many were compared.
        differences: one line each; empty where everything is identical.
    """

    readings: int
    decisions: int
    differences: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        """Whether every reading and every decision came out the same."""
        return not self.differences

    @property
    def lines(self) -> list[str]:
        """For people."""
        verdict = "identical" if self.is_identical else f"{len(self.differences)} differ"
        return [f"{self.readings} readings, {self.decisions} decisions: {verdict}", *self.differences]


def replay(
    store: Store, run: int, layout: SectionLayout, make_course: Callable[[Mapping[str, Any]], Course]
) -> ReplayReport:
    """Compare what was read and decided with what the samples give now.

    Args:
        store: where the run is written down.
        run: its number.
        layout: PVs of its section.
        make_course: the task with its agent, from what was asked for.

    Raises:
        StoreConflictError: the run has no samples.
    """
    events = visit_events(store, run)
    if not events:
        raise StoreConflictError(f"run {run} has no readings: nothing to replay")
    samples = _Samples(store.samples.read(run), layout)
    course = make_course(store.runs.get(run).snapshot["choice"])
    course.start()
    visits: list[Visit] = []
    differences: list[str] = []
    decisions = last_step = 0
    for event in events:
        p = event.payload
        step = p["step"]
        setpoint = np.array(p["setpoint_a"])
        if event.kind == VISITED and step > last_step:
            decisions += 1
            wanted = _decided(store, course, visits, max(course.max_steps - step + 1, 1), run)
            if not np.array_equal(wanted, setpoint):
                worst = float(np.abs(wanted - setpoint).max())
                differences.append(f"step {step}: decided {worst:.3g} A away from what was written")
        measured = samples.next(np.array(p["valid"], dtype=bool))
        if not np.array_equal(measured.values, np.array(p["values"])):
            differences.append(f"step {step}: the samples give another reading than was used")
        last_step = step
        visit = Visit(setpoint, np.array(p["readback_a"]), course.seen(setpoint, measured))
        visits = [*visits[:-1], visit] if event.kind == AGAIN else [*visits, visit]
    return ReplayReport(len(events), decisions, tuple(differences))


def _decided(store: Store, course: Course, visits: list[Visit], steps_left: int, run: int) -> Array:
    """Setpoints of the next step by the same rules as in the run, with the limits that were in force."""
    knobs = store.runs.get(run).snapshot["knobs"]
    lo, hi = (np.array([knob[name] for knob in knobs]) for name in ("lo", "hi"))
    setpoint = visits[-1].setpoint_a
    return np.asarray(np.clip(course.limited(setpoint, course.propose(visits, steps_left)), lo, hi))


class _Samples:
    """The raw samples in the order of the readings."""

    def __init__(self, samples: list[Sample], layout: SectionLayout) -> None:
        self._layout = layout
        self._by_pv: dict[str, list[float]] = {pv: [] for pv in layout.channels}
        for sample in samples:
            self._by_pv[sample.pv].append(sample.reading.number)

    def next(self, valid: Any) -> Measurement:
        """The next combined reading."""
        n = self._layout.readings
        rows = []
        for pv, ok in zip(self._layout.channels, valid, strict=True):
            taken = self._by_pv[pv][:n] if ok else []
            if ok:
                del self._by_pv[pv][:n]
            rows.append(taken if len(taken) == n else [np.nan] * n)
        return Measurement(combined(np.array(rows), valid, self._layout.valid_range), valid)
