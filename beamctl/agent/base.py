"""Who proposes: the protocol of all agents."""

from typing import Protocol

from beamctl.task.orbit import Array
from beamctl.task.problem import OrbitProblem, OrbitView


class Agent(Protocol):
    """Proposes corrector changes from what it is shown. It never touches a machine.

    Attributes:
        name: as on the command line, for example ``tbsac`` or ``bls``.
        identity: which one exactly, for records: name and, for trained agents, the hash of the policy.
    """

    name: str
    identity: str

    def start(self, problem: OrbitProblem) -> None:
        """Prepare for a problem.

        Raises:
            IncompatibleAgentError: the agent does not fit it.
        """

    def propose(self, view: OrbitView) -> Array:
        """Change of each setpoint in A, shape (batch, k), before any limit is applied."""
