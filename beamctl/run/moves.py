"""Moving and measuring with the patience of a run: what is bad for a while is waited out, what people order is done."""

from collections.abc import Callable
from functools import partial

import numpy as np

from beamctl.engine.base import Clock
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.reader import Measurement
from beamctl.engine.setpoints import is_same
from beamctl.errors import (
    BeamLostError,
    ForeignWriteError,
    PermitLostError,
    RepeatedTripError,
    RunAbortedError,
    StaleReadingError,
)
from beamctl.run.approval import Approval, Proposal
from beamctl.run.conflict import Conflict
from beamctl.run.course import Array, Course, Visit
from beamctl.run.events import Held, Stepped
from beamctl.run.hold import TROUBLE, Hold, limit_s
from beamctl.run.hold_notes import HoldNotes
from beamctl.run.orders import Orders
from beamctl.run.progress import Progress
from beamctl.run.record import Record
from beamctl.run.voice import Voice
from beamctl.store.states import RunState, Verb

POLL_S = 0.2
"""how often a run that waits for a person looks for an answer"""
BLAMED_S = 5.0
"""a beam that goes away so soon after a write of ours went away because of it"""


class Moves:
    """The hands of one run.

    Args:
        guard: the only path to a put.
        clock: that time is told by.
        course: the task.
        progress: what has been seen.
        orders: what people want.
        voice, record: who is told, and where it is written down.
        asks: every step waits until a person approves it.

    Attributes:
        conflict: asks people when somebody else has written.
    """

    def __init__(
        self,
        guard: GuardedSection,
        clock: Clock,
        course: Course,
        progress: Progress,
        orders: Orders,
        voice: Voice,
        record: Record,
        *,
        asks: bool = False,
    ) -> None:
        self._guard = guard
        self._clock = clock
        self._course = course
        self._progress = progress
        self._orders = orders
        self._voice = voice
        self._record = record
        self._notes = HoldNotes(clock, voice, record)
        self._hold = Hold(clock, guard.check_fit, self.check_orders, self._notes.note)
        self._approval = Approval(orders, voice, record, self.check_orders, self.wait, is_asked=asks)
        self.conflict = Conflict(guard, orders, voice, record, self.wait)
        self._started = clock.now()
        self._why_elsewhere = ""
        self._last_put_s = -np.inf
        self._beam_losses = 0

    def begin(self) -> Measurement:
        """The first reading, before anything was written; what is bad now is not waited for."""
        self._started = self._clock.now()
        return self._seen(self._guard.reader.measure())

    def move(self, choose: Callable[[], Array]) -> Array | None:
        """Write what is chosen from the newest reading; one that is older than a hold is void, and made again.

        Returns:
            the setpoints, A; None where somebody has accepted what is there before anything was written.
        """
        while True:
            if self._waits_for_people():
                self._measured_again()
            if self._orders.has(Verb.ACCEPT):
                return None
            setpoint = choose()
            if self._is_approved(setpoint) and self._write(partial(self._guard.move, setpoint)):
                return setpoint
            self._measured_again()

    def approach(self, goal: Array) -> None:
        """Go to setpoints that may be further away than one step; stay where somebody else has set something."""
        while not self._approach_once(goal) and self._progress.best is not None:
            self._waits_for_people()

    def measure(self) -> Measurement:
        """Measure; for as long as that is not possible, wait."""
        since = self._clock.now()
        while True:
            self.check_orders()
            try:
                return self._seen(self._guard.measure())
            except TROUBLE as error:
                self._wait_until_fit(error, since)
            except ForeignWriteError as error:
                self._take_over(error)

    def report(self, measured: Measurement, setpoint: Array, note: str = "") -> None:
        """Note a setting and what was read there.

        Args:
            measured: what was read.
            setpoint: what was asked for, A; where the knobs are elsewhere by now, that is noted instead.
            note: for people.
        """
        held = self._held(setpoint)
        if held is not setpoint:
            setpoint, note = held, note or self._why_elsewhere
        visit = Visit(setpoint.copy(), self._guard.readbacks(), measured)
        self._progress.add(visit)
        steps, figures = self._progress.steps, self._course.figures(measured)
        seconds = self._clock.now() - self._started
        self._record.visited(steps, visit, note, figures, seconds)
        self._voice.tell(Stepped(steps, figures, measured.values, measured.valid, setpoint.copy(), seconds, note))

    def check_orders(self) -> None:
        """End where somebody has ordered it.

        Raises:
            HaltedError: nothing may be written any more.
            RunAbortedError: the snapshot shall be restored.
        """
        self._orders.gate()
        if self._orders.has(Verb.ABORT):
            raise RunAbortedError(f"aborted by {self._orders.by(Verb.ABORT)}")

    def wait(self) -> None:
        """Let a moment pass while somebody decides."""
        self._clock.sleep(POLL_S)

    def _approach_once(self, goal: Array) -> bool:
        """Whoever has accepted what is there has approved of the way to the best of it, too."""
        is_approved = self._orders.has(Verb.ACCEPT) or self._is_approved(goal, "the way back to the best setting")
        return (is_approved or self._orders.has(Verb.ACCEPT)) and self._write(partial(self._guard.approach, goal))

    def _is_approved(self, setpoint: Array, what: str = "") -> bool:
        """Whether these setpoints, A, may be written as far as people are concerned."""
        last = self._progress.visits[-1]
        change, step = setpoint - last.setpoint_a, self._progress.steps + 1
        predicted = self._course.predict(last.measured, change)
        return self._approval.is_given(Proposal(what or f"step {step}", step, setpoint, change, predicted))

    def _write(self, action: Callable[[], None]) -> bool:
        """Do what writes; False where it had to wait before anything was sent, and may not be right any more."""
        since = self._clock.now()
        sent = self._guard.writes
        while True:
            self.check_orders()
            try:
                action()
            except TROUBLE as error:
                self._wait_until_fit(error, since)
                if self._guard.writes == sent:
                    return False
            except ForeignWriteError as error:
                self._take_over(error)
                return False
            else:
                self._last_put_s = self._clock.now()
                return True

    def _seen(self, measured: Measurement) -> Measurement:
        return self._course.seen(self._guard.setpoint_a, measured)

    def _measured_again(self) -> None:
        measured = self.measure()
        self._progress.measured_again(self._held(self._progress.visits[-1].setpoint_a), measured)
        steps, visit, figures = self._progress.steps, self._progress.visits[-1], self._course.figures(measured)
        self._record.measured_again(steps, visit, figures, self._clock.now() - self._started)

    def _held(self, asked: Array) -> Array:
        """Where the knobs are, A: as asked for, unless somebody or we ourselves have moved them since."""
        held = self._guard.setpoint_a
        return asked if all(map(is_same, held, asked)) else held

    def _take_over(self, error: ForeignWriteError) -> None:
        """Go on from what somebody else has set, if people say so; what was best before is void.

        Raises:
            ForeignWriteError: they say otherwise.
        """
        if not self.conflict.is_taken_over(str(error)):
            raise error
        self._progress.start_over()
        self._why_elsewhere = "taken over"

    def _wait_until_fit(self, error: StaleReadingError | PermitLostError, since: float) -> None:
        """Wait; a beam that our last step has cost comes back to the setting before it.

        Raises:
            RepeatedTripError: for the second time because of a write of ours.
        """
        is_ours = isinstance(error, BeamLostError) and since - self._last_put_s <= BLAMED_S
        if is_ours:
            self._beam_losses += 1
            if self._beam_losses > 1:
                raise RepeatedTripError(f"for the second time within {BLAMED_S:g} s of a write of ours: {error}")
        self._voice.change(RunState.HOLD, f"{error}: waits up to {limit_s(error):g} s, then restores")
        self._notes.begin()
        self._hold.wait_until_fit(error, since)
        if is_ours and self._progress.visits:
            self._step_back()
        self._voice.change(RunState.RUNNING, "good again")

    def _step_back(self) -> None:
        """To the newest setting that is not the present one."""
        present = self._guard.setpoint_a
        earlier = [v.setpoint_a for v in self._progress.own_visits if not all(map(is_same, v.setpoint_a, present))]
        if not earlier:
            return
        try:
            self._guard.approach(earlier[-1])
        except ForeignWriteError as error:
            self._take_over(error)
            return
        self._why_elsewhere = "stepped back"
        self._voice.tell(Held("stepped back: the beam went away right after our last step", 0.0))

    def _waits_for_people(self) -> bool:
        """Hold for as long as somebody has paused the run; whether that was so."""
        orders = self._orders
        if not orders.has(Verb.PAUSE):
            return False
        since = self._clock.now()
        self._notes.begin()
        reason = f"paused by {orders.by(Verb.PAUSE)}"
        self._voice.change(RunState.HOLD, reason)
        while orders.has(Verb.PAUSE) and not orders.has(Verb.ACCEPT):
            self.check_orders()
            self._notes.note(reason, self._clock.now() - since, None)
            self.wait()
        self._voice.change(RunState.RUNNING, "resumed")
        return True
