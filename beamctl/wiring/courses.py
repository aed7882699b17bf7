"""The course of a run, whatever was chosen: tuning, a preflight, or the way back to an earlier setting."""

from beamctl.run.course import Course
from beamctl.store.open import Store
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.preflight import with_preflight
from beamctl.wiring.snapshot import SNAPSHOT, snapshot_course


def course_of(store: Store, kit: TaskKit, choice: Choice) -> tuple[Choice, Course]:
    """The choice as it is carried out (it names the preflight that it relies on), and its course.

    Raises:
        UnknownNameError, IncompatibleAgentError, StoreConflictError, SetpointLimitError: it cannot be carried out.
    """
    if choice.algorithm == SNAPSHOT:
        return choice, snapshot_course(store, kit, choice)
    choice, mapping = with_preflight(store, kit, choice)
    return choice, kit.course(choice, mapping)
