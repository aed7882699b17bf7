"""What would be done from the present reading."""

import threading

from beamctl.api.access import Viewer
from beamctl.api.live_book import FRESH_S, age
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.advice import Advice, AskAdvice
from beamctl.api.service import Served
from beamctl.api.version import PREFIX
from beamctl.errors import StaleReadingError, UnknownNameError

router = resource("advice")
AT_ONCE = 2
"""so many are computed at the same time; the others wait"""
WAIT_S = 5.0
_room = threading.BoundedSemaphore(AT_ONCE)


@router.post(f"{PREFIX}/advice")
def ask_advice(asked: AskAdvice, service: Served, viewer: Viewer) -> Advice:
    """What several would do from the present reading; nothing is written."""
    task = service.machines.tasks.get(asked.task)
    if task is None:
        raise UnknownNameError("task", asked.task, service.machines.tasks)
    row = service.live.rows().get(task.section)
    if row is None or age(row) >= FRESH_S:
        old = "there is none" if row is None else f"the last one is {age(row):.1f} s old"
        detail = f"{task.section} has no fresh reading: {old}, {FRESH_S:g} s are allowed; is beamctl operate running?"
        raise ProblemError("no-live-data", detail)
    if not _room.acquire(timeout=WAIT_S):
        raise ProblemError("too-many", f"{AT_ONCE} others are being advised: try again", {"Retry-After": "2"})
    try:
        return service.machines.advise(asked, row)
    except StaleReadingError as error:
        raise ProblemError("no-live-data", str(error)) from error
    finally:
        _room.release()
