"""Runs that go back to a setting of an earlier run."""

from collections.abc import Sequence

import numpy as np

from beamctl.engine.layout import Knob
from beamctl.errors import SetpointLimitError, StoreConflictError
from beamctl.run.course import Array
from beamctl.run.snapshot_course import SnapshotCourse
from beamctl.run.visits import numbers, stored_visits
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import PREFLIGHT
from beamctl.wiring.preflight import with_preflight

SNAPSHOT = "snapshot"
"""not an algorithm that tunes, but the way back"""
FOUND, BEST = "found", "best"
WORDS = {FOUND: "the setting that run {run} found", BEST: "the best setting of run {run}"}


def snapshot_course(store: Store, kit: TaskKit, choice: Choice) -> SnapshotCourse:
    """The way to a setting of an earlier run.

    Raises:
        StoreConflictError: there is no such run, it was of other setpoints, or has nothing to go back to.
        SetpointLimitError: outside of what is allowed now.
    """
    if choice.snapshot_of is None or choice.of not in WORDS:
        raise StoreConflictError("a way back needs the number of a run, and which of its settings: found or best")
    run = store.runs.get(choice.snapshot_of)
    goal, knobs = _setpoints(store, kit, run, choice.of), kit.layout().knobs
    _check(knobs, goal)
    words = WORDS[choice.of].format(run=run.id)
    if run.configuration_hash != kit.section_hash:
        words += " (the description of the section has changed since)"
    return SnapshotCourse(kit.plain_course(Choice()), kit.problem(), knobs, goal, words)


def _setpoints(store: Store, kit: TaskKit, run: Run, which: str) -> Array:
    """A, in the order of the section's knobs."""
    if run.snapshot is None:
        raise StoreConflictError(f"run {run.id} ended before it had found anything: there is nothing to go back to")
    held = [knob["setpoint"] for knob in run.snapshot["knobs"]]
    wanted = [knob.setpoint for knob in kit.layout().knobs]
    if held != wanted:
        raise StoreConflictError(f"run {run.id} was of other setpoints ({', '.join(held)}): go back with its own task")
    return numbers(run.snapshot["setpoint_a"]) if which == FOUND else _best(store, kit, run)


def _best(store: Store, kit: TaskKit, run: Run) -> Array:
    """By the readings of the run, as it has judged them itself, A."""
    visits = stored_visits(store, run.id)
    if run.agent in (PREFLIGHT, SNAPSHOT) or not visits:
        raise StoreConflictError(f"run {run.id} ({run.agent}) was not looking for a best setting; go to what it found")
    own = Choice(preflight=run.snapshot["choice"].get("preflight") or 0)
    course = kit.plain_course(*with_preflight(store, kit, own))
    course.start()
    costs = [course.cost(course.seen(visit.setpoint_a, visit.measured)) for visit in visits]
    return visits[int(np.argmin(costs))].setpoint_a


def _check(knobs: Sequence[Knob], goal_a: Array) -> None:
    outside = [
        f"{knob.name} {value:.4g} A (limits {knob.lo:g} to {knob.hi:g} A)"
        for knob, value in zip(knobs, goal_a, strict=True)
        if not (np.isfinite(value) and knob.lo <= value <= knob.hi)
    ]
    if outside:
        raise SetpointLimitError(f"that setting is outside of what is allowed now: {', '.join(outside)}")
