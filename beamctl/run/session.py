"""One attempt at one task: arm, snapshot, then observe, propose, check, write down, put, settle, verify, measure.

The run ends by itself when two independent measurements say that the goal is reached, or when the budget is spent. On
failure or abort the snapshot is restored; a run that ends short of its goal goes back to its best setting. People may
pause, accept, abort and halt at any time (:mod:`beamctl.run.orders`); all is written down (:mod:`beamctl.run.record`).
"""

import logging
from dataclasses import replace

import numpy as np

from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.errors import (
    AgentError,
    BeamControlError,
    ForeignWriteError,
    HaltedError,
    JournalError,
    RepeatedTripError,
    RunAbortedError,
)
from beamctl.run.course import Array, Course
from beamctl.run.endings import Endings
from beamctl.run.events import Advice, Armed, Listener, Outcome, RunResult
from beamctl.run.moves import Moves
from beamctl.run.orders import Orders
from beamctl.run.progress import Progress
from beamctl.run.record import NoRecord, Record
from beamctl.run.voice import Voice
from beamctl.store.states import RunState, Verb

_log = logging.getLogger(__name__)


class TuningRun:
    """Runs an agent on a section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        course: the task, with the agent that proposes.
        listener: told of everything that happens; one that fails is told no more, and the run goes on.
        connect_timeout_s: how long PVs may take to answer.
        record: where everything is written down first.
        orders: what people want.
        asks: every step waits until a person approves it.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        course: Course,
        listener: Listener,
        connect_timeout_s: float = 5.0,
        record: Record | None = None,
        orders: Orders | None = None,
        *,
        asks: bool = False,
    ) -> None:
        self._layout = layout
        self._course = course
        self._connect_timeout_s = connect_timeout_s
        self._record: Record = record or NoRecord()
        self.orders = orders or Orders()
        self._voice = Voice(listener, self._record)
        self._progress = Progress(course)
        self._guard = GuardedSection(engine, layout, self._stops, self._record, self.orders.gate)
        self._moves = Moves(
            self._guard, engine.clock, course, self._progress, self.orders, self._voice, self._record, asks=asks
        )
        self._endings = Endings(
            self._guard, course, self._progress, self.orders, self._voice, self._record, self._moves
        )

    @property
    def state(self) -> RunState:
        """Where the run is."""
        return self._voice.state

    def abort(self) -> None:
        """Ask for an end; safe in signal handlers and from other threads. The snapshot is restored."""
        self.orders.give(Verb.ABORT)

    def execute(self) -> RunResult:
        """Tune until the goal is reached or something ends the run.

        Returns:
            also for failed and aborted runs, after the restore.

        Raises:
            BeamControlError: arming failed; nothing was written.
        """
        before = self._arm()
        try:
            return self._tune(before)
        except HaltedError as error:
            return self._endings.freeze(str(error))
        except RunAbortedError as error:
            return self._endings.restore(Outcome.ABORTED, str(error))
        except ForeignWriteError as error:
            return self._endings.conflict(str(error))
        except (JournalError, RepeatedTripError) as error:
            return self._endings.restore(Outcome.FAILED, str(error), latches=True)
        except BeamControlError as error:
            return self._endings.restore(Outcome.FAILED, str(error))
        except Exception as error:
            _log.exception("the run failed unexpectedly; the snapshot is being restored")
            return self._endings.restore(Outcome.FAILED, f"unexpected {type(error).__name__}: {error}")
        except BaseException as error:
            self._endings.restore(Outcome.FAILED, f"interrupted by {type(error).__name__}")
            raise

    def advise(self) -> tuple[RunResult, Advice]:
        """Propose the next step from the present reading; writes nothing.

        Raises:
            BeamControlError: the machine could not be read, or the proposal must not be written.
        """
        measured = self._arm()
        setpoint = self._guard.snapshot.setpoint_a
        self._moves.report(measured, setpoint)
        new = self._propose()
        self._guard.check(new, setpoint)
        course = self._course
        predicted = course.predict(measured, new - setpoint)
        reached = course.is_reached(measured)
        advice = Advice(setpoint, new, course.figures(measured), predicted, reached, course.note())
        self._record.proposed(1, new, new - setpoint, predicted)
        self._voice.tell(advice)
        return self._endings.result(Outcome.ADVISED, f"nothing written for {course.task}"), advice

    def _arm(self) -> Measurement:
        """Check everything, remember what was found, see that the instruments can be read; writes nothing."""
        self._course.start()
        snapshot = self._guard.arm(self._connect_timeout_s)
        self._record.armed(replace(self._layout, knobs=self._guard.knobs), snapshot)
        self._voice.tell(Armed(snapshot.identity, snapshot.current_ma, snapshot.setpoint_a))
        self._voice.change(RunState.ARMED, "everything needed is there; nothing was written yet")
        return self._moves.begin()

    def _tune(self, measured: Measurement) -> RunResult:
        found = self._guard.snapshot.setpoint_a
        self._moves.report(measured, found)
        if self._is_done(measured):
            return self._endings.keep(Outcome.REACHED, f"{self._course.goal}, already at the start")
        self._voice.change(RunState.RUNNING, "tuning")
        first = self._course.first_move(found)
        if first is not None:
            setpoint = self._moves.move(lambda: np.clip(found + first, *self._limits()))
            if setpoint is not None:
                measured = self._moves.measure()
                self._moves.report(measured, setpoint, "first trend move")
        while not self._is_done(measured):
            accepts = self.orders.has(Verb.ACCEPT)
            reason = f"accepted by {self.orders.by(Verb.ACCEPT)}" if accepts else self._progress.why_give_up()
            if reason:
                return self._endings.end(reason)
            setpoint = self._moves.move(self._propose)
            if setpoint is None:
                continue
            self._progress.steps += 1
            note = self._course.note()
            measured = self._moves.measure()
            self._moves.report(measured, setpoint, note)
        return self._endings.keep(Outcome.REACHED, f"{self._course.goal}, in two independent measurements")

    def _propose(self) -> Array:
        """Setpoints of the next step, inside all limits, A.

        Raises:
            AgentError: the agent failed, or proposed what is not one finite number per knob.
        """
        course, progress = self._course, self._progress
        setpoint = progress.visits[-1].setpoint_a
        try:
            change = course.propose(progress.visits, max(course.max_steps - progress.steps, 1))
        except Exception as error:
            raise AgentError(f"{course.proposer} failed: {type(error).__name__}: {error}") from error
        if change.shape != setpoint.shape or not np.isfinite(change).all():
            raise AgentError(f"{course.proposer} proposed {change}: not one finite number of A per knob")
        return np.clip(course.limited(setpoint, change), *self._limits())

    def _limits(self) -> tuple[Array, Array]:
        """The description's limits narrowed by the IOC's."""
        knobs = self._guard.knobs
        return np.array([k.lo for k in knobs]), np.array([k.hi for k in knobs])

    def _is_done(self, measured: Measurement) -> bool:
        """Confirmed by a second, independent measurement."""
        return self._course.is_done(measured) and self._course.is_done(self._moves.measure())

    def _stops(self) -> bool:
        return self.orders.ends_soon
