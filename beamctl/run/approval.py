"""Steps that wait until a person has looked at them."""

from collections.abc import Callable
from dataclasses import dataclass

from beamctl.run.course import Array, Figures
from beamctl.run.events import Proposed
from beamctl.run.orders import Orders
from beamctl.run.record import Record
from beamctl.run.voice import Voice
from beamctl.store.states import RunState, Verb


@dataclass(frozen=True)
class Proposal:
    """What would be written.

    Attributes:
        what: for people: "step 3".
        step: its number.
        setpoint_a, change_a: A, shape (k,).
        predicted: by the model; empty where it cannot tell.
    """

    what: str
    step: int
    setpoint_a: Array
    change_a: Array
    predicted: Figures


class Approval:
    """Asks for each step, until somebody says that the rest may go on without.

    Args:
        orders: what people say.
        voice, record: who is told, and where it is written down.
        check_orders: raises where somebody has ended the run.
        wait: lets a moment pass.
        is_asked: whether anything waits at all.
    """

    def __init__(
        self,
        orders: Orders,
        voice: Voice,
        record: Record,
        check_orders: Callable[[], None],
        wait: Callable[[], None],
        *,
        is_asked: bool,
    ) -> None:
        self._orders = orders
        self._voice = voice
        self._record = record
        self._check_orders = check_orders
        self._wait = wait
        self._is_asked = is_asked

    def is_given(self, proposal: Proposal) -> bool:
        """Wait for an answer; whether exactly this may be written now.

        False: somebody has paused the run or accepted what is there; the proposal is void.

        Raises:
            HaltedError, RunAbortedError: somebody has ended the run.
            JournalError: the proposal could not be written down.
        """
        if not self._is_asked:
            return True
        self._orders.forget_decisions()
        self._voice.change(RunState.REVIEW, f"{proposal.what} waits for approval")
        # after the state: what was proposed before the last change of state counts no more
        self._record.proposed(proposal.step, proposal.setpoint_a, proposal.change_a, proposal.predicted)
        self._voice.tell(
            Proposed(proposal.what, proposal.step, proposal.setpoint_a, proposal.change_a, proposal.predicted)
        )
        answer = self._answer()
        if answer is None:
            return False
        self._is_asked = answer is Verb.APPROVE
        rest = "" if self._is_asked else " and all that follow"
        self._voice.change(RunState.RUNNING, f"{proposal.what}{rest} approved by {self._orders.by(answer)}")
        return True

    def _answer(self) -> Verb | None:
        """APPROVE for this step, RESUME for this and all others, None where it is void."""
        while True:
            self._check_orders()
            if self._orders.has(Verb.ACCEPT) or self._orders.has(Verb.PAUSE):
                return None
            decision = self._orders.decision()
            if decision in (Verb.APPROVE, Verb.RESUME):
                return decision
            self._wait()
