"""Who proposes: the protocol of all agents."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from beamctl.task.orbit import Array, Mask
from beamctl.task.problem import OrbitProblem, OrbitView
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

Problem_contra = TypeVar("Problem_contra", contravariant=True)
View_contra = TypeVar("View_contra", contravariant=True)


class Agent(Protocol[Problem_contra, View_contra]):
    """Proposes changes of the knobs from what it is shown. It never touches a machine.

    Attributes:
        name: as on the command line, for example ``tbsac`` or ``bls``.
        identity: which one exactly, for records: name and, for trained agents, the hash of the policy.
    """

    name: str
    identity: str

    def start(self, problem: Problem_contra) -> None:
        """Prepare for a problem; what was seen of another episode is forgotten.

        Raises:
            IncompatibleAgentError: the agent does not fit it.
        """

    def propose(self, view: View_contra) -> Array:
        """Change of each setpoint in A, shape (batch, k), before any limit is applied.

        May be called again for the same state: a step that could not be written is void.
        """


@dataclass(frozen=True)
class Seen:
    """What a policy makes of a view.

    Attributes:
        observation: what its network gets, shape (batch, rows, columns).
        free: knobs that it may move, shape (batch, k).
    """

    observation: Array
    free: Mask


class Policy(Agent[Problem_contra, View_contra], Protocol[Problem_contra, View_contra]):
    """An agent with a network inside: seeing and acting are two steps, and what lies between can be looked at."""

    @property
    def features(self) -> tuple[str, ...]:
        """What each number of an observation is, row by row, for people."""

    def observe(self, view: View_contra) -> Seen:
        """What the network would get."""

    def act(self, seen: Seen, given: Mask | None = None) -> Array:
        """Change of each setpoint in A, shape (batch, k).

        Args:
            seen: of :meth:`observe`.
            given: rows that the network gets, shape (batch,), the others are zero; None: all.
        """


@runtime_checkable
class Explains(Protocol):
    """An agent that has something to say about its proposals."""

    def note(self) -> str:
        """About the last proposal for the only row, for people; mostly empty."""


def note_of(agent: object) -> str:
    """What an agent has to say about its last proposal; empty where it is not one that explains."""
    return agent.note() if isinstance(agent, Explains) else ""


OrbitAgent: TypeAlias = Agent[OrbitProblem, OrbitView]
TransmissionAgent: TypeAlias = Agent[TransmissionProblem, TransmissionView]
