"""Who proposes in a transmission task: the protocol of all its agents."""

from typing import Protocol

from beamctl.task.transmission import Array
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView


class TransmissionAgent(Protocol):
    """Proposes changes of the knobs from the episode so far. It never touches a machine.

    Attributes:
        name: as on the command line.
        identity: which one exactly, for records.
    """

    name: str
    identity: str

    def start(self, problem: TransmissionProblem) -> None:
        """Prepare for a problem.

        Raises:
            IncompatibleAgentError: the agent does not fit it.
        """

    def propose(self, view: TransmissionView) -> Array:
        """Change of each setpoint in A, shape (batch, k), before any limit is applied."""
