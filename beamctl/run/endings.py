"""The ends of a run: kept, restored, frozen, or handed to people in a conflict."""

import logging

from beamctl.engine.guarded import GuardedSection
from beamctl.engine.restore import RestoreOutcome, RestoreReport
from beamctl.errors import ForeignWriteError, JournalError, StaleReadingError
from beamctl.run.course import Course
from beamctl.run.events import Held, Outcome, Restored, RunResult
from beamctl.run.moves import Moves
from beamctl.run.orders import Orders
from beamctl.run.progress import Progress
from beamctl.run.record import Record
from beamctl.run.voice import Voice
from beamctl.store.states import RunState, Verb

_log = logging.getLogger(__name__)


class Endings:
    """How one run may end; arguments as :class:`beamctl.run.moves.Moves`.

    Args:
        moves: the run's hands.
    """

    def __init__(
        self,
        guard: GuardedSection,
        course: Course,
        progress: Progress,
        orders: Orders,
        voice: Voice,
        record: Record,
        moves: Moves,
    ) -> None:
        self._guard = guard
        self._course = course
        self._progress = progress
        self._orders = orders
        self._voice = voice
        self._record = record
        self._moves = moves

    def end(self, reason: str) -> RunResult:
        """Stay, go back to the best setting seen, or to the snapshot where that was best; read once more."""
        progress = self._progress
        if self._course.goes_back:
            if self._course.is_reached(progress.visits[-1].measured):
                return self.restore(Outcome.REACHED, f"{self._course.goal}: complete")
            return self.restore(Outcome.NOT_REACHED, reason)
        if self._course.is_all_or_nothing and not self._orders.has(Verb.ACCEPT):
            return self.restore(Outcome.NOT_REACHED, reason)
        best = progress.best
        if best is None or not progress.has_gained:
            return self.restore(Outcome.NOT_REACHED, f"{reason}; no setting was better than the first")
        stays = progress.last_cost <= progress.best_cost + self._course.slack
        goal = progress.visits[-1].setpoint_a if stays else best.setpoint_a
        self._moves.approach(goal)
        measured = self._moves.measure()
        self._moves.report(measured, goal, "read again" if stays else "back to the best")
        if not progress.is_better_than_first:
            return self.restore(Outcome.NOT_REACHED, f"{reason}; read again, no setting was better than the first")
        outcome = Outcome.REACHED if self._course.is_reached(measured) else Outcome.NOT_REACHED
        return self.keep(outcome, f"{reason}; best setting kept")

    def keep(self, outcome: Outcome, reason: str) -> RunResult:
        """Keep the present setting; where somebody is there, after they have looked at it."""
        if self._orders.is_attended and not self._orders.has(Verb.ACCEPT):
            self._voice.change(RunState.REVIEW, f"{reason}: accept or abort")
            while not self._orders.has(Verb.ACCEPT):
                self._moves.check_orders()
                self._look()
                self._moves.wait()
        self._voice.change(RunState.ACCEPTED, reason)
        return self.result(outcome, reason)

    def conflict(self, reason: str) -> RunResult:
        """Somebody else has written, and people have decided, or nobody attends."""
        decision = self._moves.conflict.decision
        if decision is Verb.HALT:
            return self.freeze(f"{reason}; halted by {self._orders.by(Verb.HALT)}")
        if decision is Verb.LEAVE:
            reason = f"{reason}; everything left as it is"
            self._voice.change_anyway(RunState.ACCEPTED, reason)
            return self.result(Outcome.ABORTED, reason)
        if not self._orders.is_attended:
            return self.restore(Outcome.FAILED, reason)
        return self.restore(Outcome.ABORTED, f"{reason}; what was ours has been restored")

    def _look(self) -> None:
        """Nobody else shall write while somebody reviews; an IOC that stands still meanwhile is waited for."""
        try:
            self._guard.present_setpoints()
        except StaleReadingError as error:
            self._voice.tell(Held(str(error), 0.0))
        except ForeignWriteError as error:
            if not self._moves.conflict.is_taken_over(str(error)):
                raise

    def freeze(self, reason: str) -> RunResult:
        """Write nothing any more, not even a restore; what is owed stays on record."""
        self._voice.change_anyway(RunState.HALTED, reason)
        self._read_at_the_end()
        return self.result(Outcome.HALTED, reason)

    def restore(self, outcome: Outcome, reason: str, *, latches: bool = False) -> RunResult:
        """Bring the snapshot back.

        Args:
            outcome, reason: why.
            latches: the section stays blocked until a person has looked, however well it is restored.
        """
        self._voice.change_anyway(RunState.RESTORING, reason)
        report = self._guard.restore()
        self._voice.tell(Restored(report.lines))
        try:
            self._record.restored(report.lines)
        except JournalError:
            _log.exception("the restore could not be written down")
        if report.interrupt is not None:
            raise report.interrupt
        if self._orders.has(Verb.HALT):
            return self.freeze(f"{reason}; halted by {self._orders.by(Verb.HALT)} while restoring")
        reason += self._read_at_the_end()
        owes = any(line.outcome is RestoreOutcome.FAILED for line in report.lines)
        self._voice.change_anyway(RunState.FAULT if owes or latches else RunState.RESTORED, reason)
        return self.result(outcome, reason, report)

    def result(self, outcome: Outcome, reason: str, report: RestoreReport | None = None) -> RunResult:
        """The run in a few numbers."""
        g = self._progress
        final = g.values(g.final)
        return RunResult(
            outcome=outcome,
            steps=g.steps,
            initial=g.figures(g.initial),
            final=g.figures(g.final),
            restored=report is not None and report.is_complete,
            writes=self._guard.writes,
            reason=reason,
            initial_values=g.values(g.initial).values,
            final_values=final.values,
            valid=final.valid,
            restore=() if report is None else tuple(report.lines),
        )

    def _read_at_the_end(self) -> str:
        """What the machine reads now; why it is not known, for people."""
        try:
            self._progress.end_with(self._guard.reader.measure())
        except Exception as error:
            self._progress.end_with(None)
            return f"; what the machine reads afterwards is not known: {error}"
        return ""
