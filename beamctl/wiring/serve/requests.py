"""What clients ask for, checked as far as it can be without a machine."""

from beamctl.api.schemas.runs import NewRequest, RestoreSnapshot, StartPreflight
from beamctl.errors import SenselessRequestError, UnknownNameError
from beamctl.store.open import Store
from beamctl.store.requests import NewRequest as StoreRequest
from beamctl.store.runs import Run
from beamctl.wiring.control import check_enabled, new_request
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import PREFLIGHT, OrbitKit
from beamctl.wiring.snapshot import SNAPSHOT, snapshot_course

SMALLEST_MM = 0.01
LARGEST_TRANSMISSION = 0.999


class Requests:
    """Builds requests.

    Args:
        deployment: whose tasks.
        store: knows preflights, agents that are off, and earlier runs.
    """

    def __init__(self, deployment: Deployment, store: Store) -> None:
        self._deployment = deployment
        self._store = store

    def tune(self, asked: NewRequest, principal: str, key: str) -> StoreRequest:
        """A run; errors as :class:`beamctl.api.ports.Machines`."""
        kit = self._kit(asked.task)
        check_target(kit, asked.target)
        choice = Choice(
            asked.algorithm, asked.agent, asked.target, asked.max_steps, asked.step_percent, asked.seed, asked.preflight
        )
        if asked.algorithm in (PREFLIGHT, SNAPSHOT):
            raise UnknownNameError("algorithm", asked.algorithm, kit.algorithms)
        check_enabled(self._store, kit, choice)
        course_of(self._store, kit, choice)
        return new_request(
            self._deployment, asked.task, choice, principal, key,
            dry_run=asked.dry_run, review=asked.review, approval=asked.approval, note=asked.note,
        )  # fmt: skip

    def preflight(self, kit: OrbitKit, asked: StartPreflight, principal: str, key: str) -> StoreRequest:
        """A preflight."""
        return new_request(self._deployment, kit.name, Choice(PREFLIGHT), principal, key, note=asked.note)

    def snapshot(self, run: Run, asked: RestoreSnapshot, principal: str, key: str) -> StoreRequest:
        """The way back to a setting of a run; errors as :meth:`tune`."""
        kit = self._kit(run.task)
        choice = Choice(SNAPSHOT, snapshot_of=run.id, of=asked.of)
        snapshot_course(self._store, kit, choice)
        return new_request(
            self._deployment, run.task, choice, principal, key,
            review=asked.review, approval=asked.approval, note=asked.note,
        )  # fmt: skip

    def _kit(self, task: str) -> TaskKit:
        if task not in self._deployment.tasks and ":" in task:
            known = ", ".join(self._deployment.tasks)
            raise SenselessRequestError(f"{task} looks like a PV; what can be tuned are tasks: {known}")
        return self._deployment.kit(task)


def check_target(kit: TaskKit, target: float | None) -> None:
    """Refuse a goal that makes no sense.

    Raises:
        SenselessRequestError: with the limits.
    """
    if target is None:
        return
    if isinstance(kit, OrbitKit) and not target >= SMALLEST_MM:
        raise SenselessRequestError(f"target {target:g} mm: the RMS of the orbit is meant, at least {SMALLEST_MM:g} mm")
    if not isinstance(kit, OrbitKit) and not 0 < target <= LARGEST_TRANSMISSION:
        raise SenselessRequestError(f"target {target:g}: the goal is a transmission, at most {LARGEST_TRANSMISSION:g}")
