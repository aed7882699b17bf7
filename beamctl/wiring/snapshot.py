"""Runs that go back to a setting of an earlier run."""

import numpy as np

from beamctl.engine.layout import Knob
from beamctl.errors import SetpointLimitError, StoreConflictError
from beamctl.run.course import Array
from beamctl.run.snapshot_course import SnapshotCourse
from beamctl.run.visits import number, stored_visits
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import OrbitKit

SNAPSHOT = "snapshot"
"""not an algorithm that tunes, but the way back"""
WORDS = {"found": "what run {run} has found", "best": "the best setting of run {run}"}


def snapshot_course(store: Store, kit: TaskKit, choice: Choice) -> SnapshotCourse:
    """The way to a setting of an earlier run.

    Raises:
        StoreConflictError: there is no such run, it was of other setpoints, or has nothing to go back to.
        SetpointLimitError: outside of what is allowed now.
    """
    if choice.snapshot_of is None or choice.of not in WORDS:
        raise StoreConflictError(f"a snapshot is of a run, and what it found or its best: {choice}")
    run = store.runs.get(choice.snapshot_of)
    goal = _setpoints(store, kit, run, choice.of)
    _check(kit.layout().knobs, goal)
    own = Choice("bls") if isinstance(kit, OrbitKit) else Choice("design+gp")
    return SnapshotCourse(kit.course(own), kit.problem(), goal, WORDS[choice.of].format(run=run.id))


def _setpoints(store: Store, kit: TaskKit, run: Run, which: str) -> Array:
    """A, in the order of the section's knobs."""
    if run.snapshot is None:
        raise StoreConflictError(f"run {run.id} ended before it had found anything: there is nothing to go back to")
    held = [knob["setpoint"] for knob in run.snapshot["knobs"]]
    wanted = [knob.setpoint for knob in kit.layout().knobs]
    if held != wanted:
        raise StoreConflictError(f"run {run.id} was of other setpoints ({', '.join(held)}): go back with its own task")
    if which == "found":
        return np.array([number(value) for value in run.snapshot["setpoint_a"]])
    visits = stored_visits(store, run.id)
    if not visits:
        raise StoreConflictError(f"run {run.id} has no readings: nothing was best")
    course = kit.course(Choice("bls") if isinstance(kit, OrbitKit) else Choice("design+gp"))
    return min(visits, key=lambda visit: course.cost(visit.measured)).setpoint_a


def _check(knobs: tuple[Knob, ...], goal_a: Array) -> None:
    outside = [
        f"{knob.name} {value:.4g} A (limits {knob.lo:g} to {knob.hi:g} A)"
        for knob, value in zip(knobs, goal_a, strict=True)
        if not (np.isfinite(value) and knob.lo <= value <= knob.hi)
    ]
    if outside:
        raise SetpointLimitError(f"that setting is outside of what is allowed now: {', '.join(outside)}")
