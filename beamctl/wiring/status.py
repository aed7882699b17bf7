"""The control process's own state as PVs, put together."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from beamctl.errors import ServingError
from beamctl.run.events import Changed, Event, Listener, Restored, Stepped
from beamctl.status.board import StatusBoard
from beamctl.status.pvs import TunedSection
from beamctl.status.server import StatusServer
from beamctl.store.runs import Run
from beamctl.store.states import RunState
from beamctl.wiring.deployment import Deployment

_log = logging.getLogger(__name__)

OWED = (RunState.RUNNING, RunState.HOLD, RunState.REVIEW, RunState.RESTORING, RunState.HALTED, RunState.FAULT,
        RunState.UNKNOWN, RunState.CONFLICT, RunState.RECOVERING)  # fmt: skip
"""states in which what was written has neither been accepted nor restored"""


def tuned_sections(deployment: Deployment) -> list[TunedSection]:
    """Every section with something to tune, once."""
    found: dict[str, TunedSection] = {}
    for task in deployment.tasks:
        kit = deployment.kit(task)
        name = kit.key.removeprefix(deployment.settings.prefix)
        is_orbit = task in deployment.orbit_tasks
        found.setdefault(name, TunedSection(name, *(("orbit RMS", "mm") if is_orbit else ("MFC1 current", "mA"))))
    return list(found.values())


def board_listener(board: StatusBoard, name: str, run: Run, max_steps: int) -> Listener:
    """Shows what a run reports.

    Args:
        board: where.
        name: of the section on the board.
        run: the run.
        max_steps: its budget.
    """
    section = board.section(name)
    section.update(
        run=run.id, user=run.principal, step=0, max_steps=max_steps, objective=math.nan, best=math.nan, reason=""
    )

    def show(event: Event) -> None:
        if isinstance(event, Changed):
            section.update(state=event.state, reason=event.reason, restore_owed=event.state in OWED)
        elif isinstance(event, Stepped):
            figures = event.figures
            value = figures["rms_mm"] if "rms_mm" in figures else figures["mfc1_ma"]
            best = section.status.best
            better = min if "rms_mm" in figures else max
            section.update(step=event.step, objective=value, best=value if math.isnan(best) else better(best, value))
        elif isinstance(event, Restored):
            section.update(restore_owed=False)

    return show


@contextmanager
def serving(board: StatusBoard, deployment: Deployment, on_halt: Callable[[bool, str], None]) -> Iterator[None]:
    """Serve the board's PVs for as long as the block lasts; a port that cannot be had does not keep us from working."""
    s = deployment.settings
    server = StatusServer(
        board, tuned_sections(deployment), s.status_prefix, s.status_interface, s.status_port, on_halt
    )
    try:
        server.start()
    except ServingError:
        _log.exception("the status PVs are not served")
    try:
        yield
    finally:
        server.stop()
