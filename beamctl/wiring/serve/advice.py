"""What would be done from a reading: the same code as in a run, without anything that could write."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from beamctl.api.schemas.advice import Advice, AskAdvice, Option
from beamctl.engine.reader import Measurement
from beamctl.errors import BeamControlError, StaleReadingError
from beamctl.run.course import Array, Course, Visit
from beamctl.run.orbit_course import OrbitCourse
from beamctl.store.live import LiveRow
from beamctl.store.open import Store
from beamctl.wiring.control import check_enabled
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import REFERENCES, OrbitKit
from beamctl.wiring.serve.requests import check_target
from beamctl.wiring.serve.tasks import default_target

NOTHING = "nothing"
ROLLOUT_STEPS = 30
ASKED = {"orbit": ("tbsac", "bls"), "transmission": ("tbsac+gp", "design+gp")}
TITLES = {
    NOTHING: "Do nothing",
    "tbsac": "TBSAC",
    "bls": "Least squares within limits",
    "svd": "Least squares (SVD)",
    "tbsac+gp": "TBSAC, then Gaussian process",
    "design+gp": "Design optics, then Gaussian process",
    "gp": "Gaussian process",
    "nelder-mead": "Nelder-Mead",
    "rcds": "RCDS",
    "es": "Extremum seeking",
    "bo": "Bayesian optimisation",
    "bo-trust": "Bayesian optimisation, trust region",
    "grid": "Grid",
}


@dataclass(frozen=True)
class Situation:
    """A reading that is asked about.

    Attributes:
        setpoint_a, readback_a: of the task's knobs, A, shape (k,).
        measured: medians of the channels.
    """

    setpoint_a: Array
    readback_a: Array
    measured: Measurement


def advise(deployment: Deployment, store: Store, asked: AskAdvice, live: LiveRow) -> Advice:
    """What several would do; deterministic.

    Raises:
        StaleReadingError: the reading is not complete enough.
        BeamControlError: as for a request.
    """
    kit = deployment.kit(asked.task)
    check_target(kit, asked.target)
    is_orbit = isinstance(kit, OrbitKit)
    now = _situation(kit, live)
    names = asked.algorithms or list(ASKED["orbit" if is_orbit else "transmission"])
    choice = Choice(names[0], asked.agent, asked.target, preflight=asked.preflight)
    options = [_option(store, kit, Choice(name, asked.agent, asked.target, preflight=asked.preflight), now)
               for name in names if name != NOTHING]  # fmt: skip
    choice, course = _plain(store, kit, choice)
    layout = kit.layout()
    return Advice(
        task=asked.task,
        section=kit.key,
        time=live.time,
        age_s=max(0.0, (datetime.now(UTC) - live.time).total_seconds()),
        figure="rms_mm" if is_orbit else "transmission",
        target=default_target(kit) if asked.target is None else asked.target,
        figures=_figures(course.figures(now.measured)),
        values=_values(now.measured.values, now.measured.valid),
        valid=[bool(ok) for ok in now.measured.valid],
        setpoint_a=now.setpoint_a.tolist(),
        knobs=[knob.name for knob in layout.knobs],
        channels=list(layout.channel_names),
        is_reached=course.is_reached(now.measured),
        unfit=[str(why) for why in live.payload.get("unfit") or ()],
        preflight=choice.preflight or None,
        options=[*options, _nothing(course, now)],
    )


def _situation(kit: TaskKit, live: LiveRow) -> Situation:
    """The reading of a task's own knobs and channels.

    Raises:
        StaleReadingError: a setpoint is not known, or too few channels are.
    """
    payload, layout = live.payload, kit.layout()
    names = payload.get("knobs") or []
    place = {name: i for i, name in enumerate(names)}
    missing = [k.name for k in layout.knobs if _at(payload, "setpoint_a", place.get(k.name)) is None]
    if missing:
        raise StaleReadingError(f"setpoints are not known: {', '.join(missing)}; nothing can be advised")
    setpoint = np.array([_at(payload, "setpoint_a", place[k.name]) for k in layout.knobs], dtype=float)
    readback = [_at(payload, "readback_a", place[k.name]) for k in layout.knobs]
    found = [_at(payload, "median", i) for i in range(len(layout.channels))]
    valid = np.array([bool(ok) and m is not None for ok, m in zip(payload["valid"], found, strict=True)])
    if valid.mean() < layout.least_share:
        raise StaleReadingError(f"only {valid.sum()} of {len(valid)} channels can be believed; nothing can be advised")
    values = np.array([m if ok and m is not None else 0.0 for m, ok in zip(found, valid, strict=True)])
    measured_a = np.array([s if r is None else r for r, s in zip(readback, setpoint, strict=True)])
    return Situation(setpoint, measured_a, Measurement(values, valid))


def _at(payload: Any, name: str, place: int | None) -> float | None:
    values = payload.get(name) or []
    value = values[place] if place is not None and place < len(values) else None
    return None if value is None else float(value)


def _option(store: Store, kit: TaskKit, choice: Choice, now: Situation) -> Option:
    """What one of them would do."""
    name = choice.algorithm or ""
    try:
        check_enabled(store, kit, choice)
        _, course = course_of(store, kit, choice)
        course.start()
        return _proposed(course, name, now)
    except (BeamControlError, ValueError, FloatingPointError) as error:
        return _failed(name, str(error))


def _proposed(course: Course, name: str, now: Situation) -> Option:
    measured = course.seen(now.setpoint_a, now.measured)
    visit = Visit(now.setpoint_a, now.readback_a, measured)
    new = _next(course, [visit], course.max_steps)
    change = new - now.setpoint_a
    note = course.note()
    predicted = course.predict(measured, change)
    values: list[float | None] = []
    rollout: list[float | None] = []
    final = values
    if isinstance(course, OrbitCourse):
        values = _values(measured.values + course.response_mm_per_a @ change, measured.valid)
        if name not in REFERENCES:
            rollout, final = _rollout(course, visit, new)
    return Option(
        algorithm=name,
        title=TITLES.get(name, name),
        proposer=course.proposer,
        setpoint_a=new.tolist(),
        change_a=change.tolist(),
        predicted=_figures(predicted),
        predicted_values=values,
        rollout=rollout,
        final_values=final,
        note=note,
        error="",
    )


def _next(course: Course, visits: Sequence[Visit], steps_left: int) -> Array:
    """Setpoints of the next step, inside all limits of the description, A.

    Raises:
        ValueError: what was proposed is not one finite number per knob.
    """
    at = visits[-1].setpoint_a
    change = course.propose(visits, steps_left)
    if change.shape != at.shape or not np.isfinite(change).all():
        raise ValueError(f"{course.proposer} proposed {change}: not one finite number of A per knob")
    return course.limited(at, change)


def _rollout(course: OrbitCourse, first: Visit, new: Array) -> tuple[list[float | None], list[float | None]]:
    """RMS step by step on the linear model until the goal, mm, and the orbit at the end."""
    visits, rms = [first], [course.cost(first.measured)]
    values, at = first.measured.values, first.setpoint_a
    for step in range(1, min(course.max_steps, ROLLOUT_STEPS) + 1):
        values = values + course.response_mm_per_a @ (new - at)
        measured = course.seen(new, Measurement(values, first.measured.valid))
        visits.append(Visit(new, new, measured))
        at = new
        rms.append(course.cost(measured))
        if course.is_done(measured):
            break
        new = _next(course, visits, max(course.max_steps - step, 1))
    return [_known(value) for value in rms], _values(values, first.measured.valid)


def _plain(store: Store, kit: TaskKit, choice: Choice) -> tuple[Choice, Course]:
    """A course that nobody trained has part in, for the figures."""
    own = "bls" if isinstance(kit, OrbitKit) else "design+gp"
    return course_of(store, kit, Choice(own, target=choice.target, preflight=choice.preflight))


def _nothing(course: Course, now: Situation) -> Option:
    """Everything stays, for comparison."""
    course.start()
    measured = course.seen(now.setpoint_a, now.measured)
    figures = _figures(course.figures(measured))
    values = _values(measured.values, measured.valid)
    return Option(
        algorithm=NOTHING,
        title=TITLES[NOTHING],
        proposer=NOTHING,
        setpoint_a=now.setpoint_a.tolist(),
        change_a=[0.0] * len(now.setpoint_a),
        predicted=figures,
        predicted_values=values,
        rollout=[figures["rms_mm"]] if "rms_mm" in figures else [],
        final_values=values,
        note="",
        error="",
    )


def _failed(name: str, why: str) -> Option:
    return Option(
        algorithm=name, title=TITLES.get(name, name), proposer="", setpoint_a=[], change_a=[], predicted={},
        predicted_values=[], rollout=[], final_values=[], note="", error=why,
    )  # fmt: skip


def _figures(figures: Any) -> dict[str, float | None]:
    return {name: _known(value) for name, value in figures.items()}


def _values(values: Array, valid: Any) -> list[float | None]:
    return [_known(value) if ok else None for value, ok in zip(values, valid, strict=True)]


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
