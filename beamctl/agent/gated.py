"""A trained agent that is only asked about what it knows; a fall-back that needs no training proposes the rest."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from beamctl.agent.base import Agent, Policy, Seen
from beamctl.agent.envelope import Envelope, Gate
from beamctl.task.orbit import Array, Mask

IN_A_ROW = 3
"""after so many observations outside, one after the other, the fall-back proposes for the rest of the run"""


class AnyView(Protocol):
    """What all views have in common."""

    @property
    def setpoint_a(self) -> Array:
        """Present setpoints, A, shape (batch, k)."""


Problem = TypeVar("Problem")
View = TypeVar("View", bound=AnyView)


@dataclass
class _Rows:
    """What is remembered of each row, first axis the row.

    Attributes:
        setpoint_a: where the knobs were at the last proposal.
        before, after: observations outside in a row, without and with the last one; stays where it has reached the
            limit.
    """

    setpoint_a: Array
    before: NDArray[np.int64]
    after: NDArray[np.int64]


class GatedAgent(Generic[Problem, View]):
    """See the module; each row on its own.

    Args:
        primary: the trained agent.
        fall_back: proposes for observations outside.
        envelope: what the primary knows.
        known_as: its name for people.
    """

    def __init__(
        self,
        primary: Policy[Problem, View],
        fall_back: Agent[Problem, View],
        envelope: Envelope,
        known_as: str,
    ) -> None:
        self.name, self.identity = primary.name, primary.identity
        self._primary = primary
        self._fall_back = fall_back
        self._gate = Gate(envelope, primary.features)
        self._known_as = known_as
        self._rows: _Rows | None = None
        self._note = ""

    def start(self, problem: Problem) -> None:
        """Prepare both; nothing was outside so far."""
        self._rows, self._note = None, ""
        self.adapt(problem)

    def adapt(self, problem: Problem) -> None:
        """The same episode with a problem that is known better now: what was outside is remembered."""
        self._primary.start(problem)
        self._fall_back.start(problem)

    def propose(self, view: View) -> Array:
        """The primary's change where it knows what it sees, the fall-back's elsewhere, A."""
        seen = self._primary.observe(view)
        outside = ~(self._gate.distance(seen.observation) <= 1.0)
        rows = self._count(view.setpoint_a, outside)
        given = ~outside & (rows.before < IN_A_ROW)
        self._note = self._words(seen, rows)
        if not given.any():
            return self._fall_back.propose(view)
        change = self._primary.act(seen, given)
        if given.all():
            return change
        return np.where(given[:, None], change, self._fall_back.propose(view))

    def note(self) -> str:
        """See :class:`beamctl.agent.base.Explains`."""
        return self._note

    def _count(self, setpoint_a: Array, outside: Mask) -> _Rows:
        """Observations in a row; one at the setpoints of the last proposal takes that one's place: it was void."""
        last = self._rows
        if last is None or last.setpoint_a.shape != setpoint_a.shape:
            before = np.zeros(len(outside), dtype=np.int64)
        else:
            is_void = (setpoint_a == last.setpoint_a).all(axis=1)
            before = np.where(is_void, last.before, last.after)
        after = np.where(before >= IN_A_ROW, before, np.where(outside, before + 1, 0))
        self._rows = _Rows(setpoint_a.copy(), before, after)
        return self._rows

    def _words(self, seen: Seen, rows: _Rows) -> str:
        if len(rows.after) != 1 or not rows.after[0]:
            return ""
        who = self._fall_back.name
        if rows.before[0] >= IN_A_ROW:
            return f"{who} instead of {self._known_as}"
        why = f"outside of what {self._known_as} was trained on: {self._gate.why(seen.observation[0])}"
        if rows.after[0] < IN_A_ROW:
            return f"{why}; {who} proposes"
        return f"{why}; {IN_A_ROW} times in a row: {who} proposes from here on"
