"""Who proposes: the protocol of all agents."""

from typing import Protocol, TypeAlias, TypeVar

from beamctl.task.orbit import Array
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


OrbitAgent: TypeAlias = Agent[OrbitProblem, OrbitView]
TransmissionAgent: TypeAlias = Agent[TransmissionProblem, TransmissionView]
