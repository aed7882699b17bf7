"""Somebody else has written while a run goes on: freeze, and do what people decide.

*Take over*: what they have set is the run's own baseline from now on, and the run goes on. *Restore*: what is still
ours goes back. *Leave*: nothing is written any more. Where nobody attends, only what is ours is restored.
"""

from collections.abc import Callable

from beamctl.engine.guarded import GuardedSection
from beamctl.run.orders import Orders
from beamctl.run.record import Record
from beamctl.run.voice import Voice
from beamctl.store.states import RunState, Verb

CHOICES = "take over, restore, or leave"


class Conflict:
    """The conflicts of one run.

    Args:
        guard: knows what is whose.
        orders: what people decide.
        voice, record: who is told, and where it is written down.
        wait: lets a moment pass.

    Attributes:
        decision: the last one that ended the run; None before.
    """

    def __init__(
        self, guard: GuardedSection, orders: Orders, voice: Voice, record: Record, wait: Callable[[], None]
    ) -> None:
        self._guard = guard
        self._orders = orders
        self._voice = voice
        self._record = record
        self._wait = wait
        self.decision: Verb | None = None

    def is_taken_over(self, reason: str) -> bool:
        """Wait for a decision; whether the run may go on, with what others have set as its own.

        Raises:
            JournalError: a takeover could not be written down, and was not made.
            EngineError: what others have set could not be read.
            WriteFailedError: a put of ours is still in doubt.
        """
        before = self._voice.state
        asks = self._orders.is_attended
        self._orders.forget_decisions()
        self._voice.change_anyway(RunState.CONFLICT, f"{reason}: {CHOICES}" if asks else reason)
        self.decision = self._decided() if asks else Verb.RESTORE
        if self.decision is not Verb.TAKEOVER:
            return False
        values = self._guard.foreign()
        self._record.taken_over(values)
        self._guard.take_over(values)
        theirs = ", ".join(f"{pv} at {value:.4g} A" for pv, value in values.items())
        self._voice.change(
            before, f"taken over by {self._orders.by(Verb.TAKEOVER)}: {theirs or 'nothing is left of it'}"
        )
        return True

    def _decided(self) -> Verb:
        while True:
            decision = self._orders.decision()
            if self._orders.has(Verb.HALT):
                return Verb.HALT
            if self._orders.has(Verb.ABORT):
                return Verb.RESTORE
            if self._orders.has(Verb.ACCEPT):
                return Verb.LEAVE
            if decision in (Verb.TAKEOVER, Verb.RESTORE, Verb.LEAVE):
                return decision
            self._wait()
