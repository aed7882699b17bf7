"""What a run is for, told from the run and the request that it answers."""

from sqlalchemy import case, or_

from beamctl.store.schema import RequestRow, RunRow
from beamctl.store.states import RunKind

ADVISED = "advised"
"""outcome of a run that has written nothing"""

kind_column = case(
    (
        or_(RunRow.agent == RunKind.PREFLIGHT.value, RequestRow.algorithm == RunKind.PREFLIGHT.value),
        RunKind.PREFLIGHT.value,
    ),
    (RequestRow.algorithm == RunKind.SNAPSHOT.value, RunKind.SNAPSHOT.value),
    (or_(RequestRow.dry_run.is_(True), RunRow.outcome == ADVISED), RunKind.ADVICE.value),
    else_=RunKind.TUNE.value,
)
"""one of the words of :class:`RunKind`, in a query of runs with an outer join of their requests"""


def kind_of(agent: str, outcome: str, algorithm: str, dry_run: bool) -> RunKind:
    """The same of one run.

    Args:
        agent, outcome: of the run.
        algorithm, dry_run: of its request; empty and False where it was started by hand.
    """
    if RunKind.PREFLIGHT in (agent, algorithm):
        return RunKind.PREFLIGHT
    if algorithm == RunKind.SNAPSHOT:
        return RunKind.SNAPSHOT
    return RunKind.ADVICE if dry_run or outcome == ADVISED else RunKind.TUNE
