"""Preflight checks of orbit sections: how they are run, and where a run finds the newest one."""

from collections.abc import Iterator
from dataclasses import replace

from beamctl.errors import StoreConflictError
from beamctl.run.preflight import Findings, PreflightCourse, findings_of
from beamctl.run.visits import stored_visits
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.store.states import RunKind
from beamctl.task.mapping import Mapping
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import PREFLIGHT, OrbitKit

REACHED = "reached"
LOOK_BACK = 200
"""preflights of a section that are looked through for a complete one"""


def complete_preflights(store: Store, kit: OrbitKit) -> Iterator[Run]:
    """Those of a section, the newest first, whatever description they were made with."""
    found = store.runs.list(section=kit.key, task=kit.name, kind=RunKind.PREFLIGHT, limit=LOOK_BACK)
    return (run for run in found if run.agent == PREFLIGHT and run.outcome == REACHED)


def latest_preflight(store: Store, kit: OrbitKit) -> Run | None:
    """The newest complete preflight of a section as it is described now; None where there is none."""
    current = (run for run in complete_preflights(store, kit) if run.configuration_hash == kit.section_hash)
    return next(current, None)


def stored_findings(store: Store, kit: OrbitKit, run: int) -> Findings:
    """What a preflight has found, concluded once more from its readings.

    Raises:
        StoreConflictError: the run is no complete preflight.
    """
    course = kit.course(Choice(algorithm=PREFLIGHT))
    if not isinstance(course, PreflightCourse):
        raise TypeError("a preflight has a course of its own")
    visits = stored_visits(store, run)
    for visit in visits:
        course.seen(visit.setpoint_a, visit.measured)
    if not visits or not course.is_reached(visits[-1].measured):
        raise StoreConflictError(f"run {run} is no complete preflight: beamctl preflight {kit.name} makes one")
    return findings_of(course, kit.layout(), kit.problem())


def with_preflight(store: Store, kit: TaskKit, choice: Choice) -> tuple[Choice, Mapping | None]:
    """A choice that names the preflight it relies on, and the coordinates that were found there.

    Raises:
        StoreConflictError: what the choice names is no complete preflight of the section as it is described now.
    """
    if choice.algorithm == PREFLIGHT:
        return choice, None
    if not isinstance(kit, OrbitKit):
        if choice.preflight:
            raise StoreConflictError(f"run {choice.preflight} is no preflight of {kit.key}: an injector has none")
        return choice, None
    if choice.preflight is None:
        newest = latest_preflight(store, kit)
        choice = replace(choice, preflight=0 if newest is None else newest.id)
    if not choice.preflight:
        return choice, None
    _check_belongs(store.runs.get(choice.preflight), kit)
    return choice, stored_findings(store, kit, choice.preflight).mapping


def _check_belongs(run: Run, kit: OrbitKit) -> None:
    if run.section != kit.key or run.agent != PREFLIGHT:
        raise StoreConflictError(f"run {run.id} ({run.task}, {run.agent}) is no preflight of {kit.key}")
    if run.configuration_hash != kit.section_hash:
        raise StoreConflictError(
            f"preflight {run.id} was made with another description of {kit.key}: beamctl preflight {kit.name} makes "
            "a new one"
        )


def found_faults(findings: Findings) -> str:
    """The faults in a sentence; empty where there are none."""
    return ", ".join(f"{f.name} {f.verdict.value}" for f in findings.faults)
