"""What a run writes down while it goes on; :mod:`beamctl.run.store_record` makes it durable."""

from collections.abc import Mapping
from typing import Protocol

from beamctl.engine.guarded import Snapshot
from beamctl.engine.journal import Journal, NoJournal
from beamctl.engine.layout import SectionLayout
from beamctl.engine.restore import RestoreLine
from beamctl.run.course import Array, Figures, Visit
from beamctl.store.states import RunState


class Record(Journal, Protocol):
    """The memory of one run. Every method raises JournalError where it could not write; then no put follows."""

    def armed(self, layout: SectionLayout, snapshot: Snapshot) -> None:
        """What was found, durable before the first put."""

    def state(self, state: RunState, reason: str) -> None:
        """The run is somewhere else now."""

    def visited(self, step: int, visit: Visit, note: str, figures: Figures, seconds: float) -> None:
        """A setting was read."""

    def measured_again(self, step: int, visit: Visit, figures: Figures, seconds: float) -> None:
        """The newest reading was void; this one takes its place."""

    def proposed(self, step: int, setpoint_a: Array, change_a: Array, predicted: Figures) -> None:
        """A step waits for approval."""

    def held(self, reason: str, restore_in_s: float | None) -> None:
        """Nothing is written for now; never raises."""

    def taken_over(self, values: Mapping[str, float]) -> None:
        """What somebody else has set, A by PV, is what a restore goes back to from now on."""

    def restored(self, lines: list[RestoreLine]) -> None:
        """What became of every knob."""


class NoRecord(NoJournal):
    """For tests and for environments that keep nothing."""

    def armed(self, layout: SectionLayout, snapshot: Snapshot) -> None:
        """Nothing."""

    def state(self, state: RunState, reason: str) -> None:
        """Nothing."""

    def visited(self, step: int, visit: Visit, note: str, figures: Figures, seconds: float) -> None:
        """Nothing."""

    def measured_again(self, step: int, visit: Visit, figures: Figures, seconds: float) -> None:
        """Nothing."""

    def proposed(self, step: int, setpoint_a: Array, change_a: Array, predicted: Figures) -> None:
        """Nothing."""

    def held(self, reason: str, restore_in_s: float | None) -> None:
        """Nothing."""

    def taken_over(self, values: Mapping[str, float]) -> None:
        """Nothing."""

    def restored(self, lines: list[RestoreLine]) -> None:
        """Nothing."""
