"""Figures of runs for lists: every reading is looked at once, and what is over is remembered."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from beamctl.api import numbers
from beamctl.store.open import Store
from beamctl.store.pages import FigureRow
from beamctl.store.runs import Run

Figures = dict[str, float | None]
MOST_RUNS = 2000
"""remembered; the ones that were looked at longest ago are forgotten first"""
_SMALL_IS_GOOD = "rms_mm"
_LARGE_IS_GOOD = "mfc1_ma"


@dataclass(frozen=True)
class RunFigures:
    """A run in a few numbers.

    Attributes:
        step: steps taken.
        initial, best, final: figures; empty where nothing was measured.
        upto: the last event that was looked at.
        has_result: the run has written down how it ended.
    """

    step: int = 0
    initial: Figures = field(default_factory=dict)
    best: Figures = field(default_factory=dict)
    final: Figures = field(default_factory=dict)
    upto: int = 0
    has_result: bool = False

    def with_reading(self, row: FigureRow) -> "RunFigures":
        """Another reading, or the result, was written down."""
        if row.seq <= self.upto:
            return self
        figures = numbers.figures(row.figures)
        if row.step is None:
            return replace(self, final=figures or self.final, upto=row.seq, has_result=True)
        return RunFigures(
            step=row.step,
            initial=self.initial or figures,
            best=figures if not self.best or _is_better(figures, self.best) else self.best,
            final=figures,
            upto=row.seq,
        )


class FiguresBook:
    """The figures of all runs that were shown lately; safe to use from several threads.

    Args:
        store: where the readings are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._over: OrderedDict[int, RunFigures] = OrderedDict()
        self._going_on: dict[int, RunFigures] = {}

    def of(self, runs: Sequence[Run]) -> dict[int, RunFigures]:
        """Figures by run; the rows of the runs have to be read before this is called."""
        with self._lock:
            found = {run.id: self._over[run.id] for run in runs if run.id in self._over}
            begun = {run.id: self._going_on[run.id] for run in runs if run.id in self._going_on}
        missing = [run for run in runs if run.id not in found]
        new = [run.id for run in missing if run.id not in begun]
        read = {**dict.fromkeys(new, RunFigures()), **begun}
        read = self._continued(
            self._continued(read, new, 0), list(begun), min((f.upto for f in begun.values()), default=0)
        )
        with self._lock:
            for run in missing:
                self._remember(run, read[run.id])
            for number in found:
                if number in self._over:
                    self._over.move_to_end(number)
        return found | read

    def _continued(self, figures: dict[int, RunFigures], runs: Iterable[int], after: int) -> dict[int, RunFigures]:
        """With what was written down behind an event."""
        wanted = list(runs)
        if not wanted:
            return figures
        figures = dict(figures)
        for row in self._store.pages.figures(wanted, after):
            figures[row.run] = figures[row.run].with_reading(row)
        return figures

    def _remember(self, run: Run, figures: RunFigures) -> None:
        if run.ended is None:
            self._going_on[run.id] = figures
            return
        self._going_on.pop(run.id, None)
        self._over[run.id] = figures
        if len(self._over) > MOST_RUNS:
            self._over.popitem(last=False)


def _is_better(one: Figures, other: Figures) -> bool:
    for name, sign in ((_SMALL_IS_GOOD, 1.0), (_LARGE_IS_GOOD, -1.0)):
        if name in one:
            value, than = one[name], other.get(name)
            return value is not None and (than is None or sign * value < sign * than)
    return False
