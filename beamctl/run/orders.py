"""What people have ordered a run to do, from whatever thread or signal handler the order comes."""

import threading
from collections import deque

from beamctl.errors import HaltedError
from beamctl.store.states import RunState, Verb

PARKED = (RunState.HALTED, RunState.FAULT, RunState.UNKNOWN)
"""states in which a section waits for a person, without a process at work on it"""
NEEDS = {
    Verb.TAKEOVER: (RunState.CONFLICT,),
    Verb.RESTORE: (RunState.CONFLICT, *PARKED),
    Verb.LEAVE: (RunState.CONFLICT, *PARKED),
    Verb.CLEAR: PARKED,
    Verb.PAUSE: (RunState.IDLE, RunState.ARMED, RunState.RUNNING, RunState.HOLD, RunState.REVIEW),
    Verb.RESUME: (RunState.RUNNING, RunState.HOLD, RunState.REVIEW),
    Verb.APPROVE: (RunState.REVIEW,),
}
"""states in which an order means something; the others do in every state"""
HINTS = {
    RunState.REVIEW: "beamctl runs accept {run}, or abort {run}; a step that waits: approve {run}",
    RunState.CONFLICT: "beamctl runs takeover {run}, restore {run}, or leave {run}",
    RunState.HALTED: "beamctl runs restore {run}, or clear {run} to leave everything as it is",
    RunState.FAULT: "beamctl runs restore {run}, or clear {run} to leave everything as it is",
    RunState.UNKNOWN: "beamctl runs restore {run}, or clear {run} to leave everything as it is",
}
"""what a person can do about a run that waits for one"""


class Orders:
    """The orders of one run; abort and halt are for good, and halt beats everything.

    Safe in signal handlers and from other threads: every standing order is one flag.

    Attributes:
        is_attended: somebody is there who decides about conflicts and reviews; without, a run decides by itself.
    """

    def __init__(self, *, is_attended: bool = False) -> None:
        self.is_attended = is_attended
        self._flags = {verb: threading.Event() for verb in Verb}
        self._by: dict[Verb, str] = {}
        self._decisions: deque[Verb] = deque()

    def give(self, verb: Verb, by: str = "the operator") -> None:
        """Order something.

        Args:
            verb: what.
            by: who, for people.
        """
        self._by[verb] = by
        if verb is Verb.RESUME:
            self._flags[Verb.PAUSE].clear()
            self._decisions.append(verb)
        elif verb in (Verb.LEAVE, Verb.RESTORE, Verb.TAKEOVER, Verb.CLEAR, Verb.APPROVE):
            self._decisions.append(verb)
        else:
            self._flags[verb].set()

    def has(self, verb: Verb) -> bool:
        """Whether it has been ordered and holds."""
        return self._flags[verb].is_set()

    def by(self, verb: Verb) -> str:
        """Who has ordered it."""
        return self._by.get(verb, "the operator")

    def decision(self) -> Verb | None:
        """The next answer to a question of the run's, each once."""
        return self._decisions.popleft() if self._decisions else None

    def forget_decisions(self) -> None:
        """Answers that came before the question are answers to something else."""
        self._decisions.clear()

    @property
    def ends_soon(self) -> bool:
        """Whether no further step shall be written."""
        return self.has(Verb.ABORT) or self.has(Verb.HALT)

    def gate(self) -> None:
        """Asked before every single put, restores included.

        Raises:
            HaltedError: nothing may be written any more.
        """
        if self.has(Verb.HALT):
            raise HaltedError(f"halted by {self.by(Verb.HALT)}: nothing is written any more")
