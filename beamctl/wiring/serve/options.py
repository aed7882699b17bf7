"""What one algorithm would do from a reading, and what the model makes of it."""

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np

from beamctl.api.schemas.advice import Option
from beamctl.engine.layout import Knob
from beamctl.engine.reader import Mask, Measurement
from beamctl.engine.setpoints import within_travel
from beamctl.errors import BeamControlError
from beamctl.run.course import Array, Course, Visit
from beamctl.run.orbit_course import OrbitCourse
from beamctl.wiring.serve.situation import Situation

_log = logging.getLogger(__name__)

NOTHING = "nothing"
ROLLOUT_STEPS = 30
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
Numbers = list[float | None]


class Proposals:
    """Proposals of one course from one reading; of one use.

    Args:
        course: asked for its next step.
        knobs: of the task.
        now: the reading.
    """

    def __init__(self, course: Course, knobs: Sequence[Knob], now: Situation) -> None:
        self._course = course
        self._now = now
        kept = within_travel(knobs, now.setpoint_a.tolist())
        self._lo, self._hi = np.array([k.lo for k in kept]), np.array([k.hi for k in kept])

    def option(self, algorithm: str) -> Option:
        """What it would do; says why where it cannot say."""
        try:
            return self._option(algorithm)
        except (BeamControlError, ValueError) as error:
            return failed(algorithm, str(error))
        except Exception as error:
            _log.exception("%s could not give advice", algorithm)
            return failed(algorithm, f"{type(error).__name__}: {error}")

    def _option(self, algorithm: str) -> Option:
        course, now = self._course, self._now
        course.start()
        measured = course.seen(now.setpoint_a, now.measured)
        visit = Visit(now.setpoint_a, now.readback_a, measured)
        new = self._next([visit], course.max_steps)
        note = course.note()
        change = new - now.setpoint_a
        predicted = figures_of(course.predict(measured, change))
        values: Numbers = []
        final: Numbers = []
        rollout: Numbers = []
        if isinstance(course, OrbitCourse):
            values = numbers_of(measured.values + course.response_mm_per_a @ change, measured.valid)
            rollout, final = self._rollout(course, visit, new)
        return Option(
            algorithm=algorithm,
            title=title(algorithm),
            proposer=course.proposer,
            setpoint_a=new.tolist(),
            change_a=change.tolist(),
            predicted=predicted,
            predicted_values=values,
            rollout=rollout,
            final_values=final,
            note=note,
            error="",
        )

    def _next(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """Setpoints of the next step, inside all limits of the description, A; as a run would write them.

        Raises:
            ValueError: what was proposed is not one finite number per knob.
        """
        at = visits[-1].setpoint_a
        change = self._course.propose(visits, steps_left)
        if change.shape != at.shape or not np.isfinite(change).all():
            raise ValueError(f"{self._course.proposer} proposed {change}: not one finite number of A per knob")
        return np.clip(self._course.limited(at, change), self._lo, self._hi)

    def _rollout(self, course: OrbitCourse, first: Visit, new: Array) -> tuple[Numbers, Numbers]:
        """RMS step by step on the linear model until the goal, mm, and the orbit at the end."""
        visits, rms = [first], [course.cost(first.measured)]
        values, at, most = first.measured.values, first.setpoint_a, min(course.max_steps, ROLLOUT_STEPS)
        for step in range(1, most + 1):
            values = values + course.response_mm_per_a @ (new - at)
            measured = course.seen(new, Measurement(values, first.measured.valid))
            visits.append(Visit(new, new, measured))
            at = new
            rms.append(course.cost(measured))
            if step == most or course.is_done(measured):
                break
            new = self._next(visits, course.max_steps - step)
        return [known(value) for value in rms], numbers_of(values, first.measured.valid)


def nothing(figures: Mapping[str, float | None], now: Situation) -> Option:
    """Everything stays, for comparison.

    Args:
        figures: of the reading.
        now: the reading.
    """
    values = numbers_of(now.measured.values, now.measured.valid)
    return Option(
        algorithm=NOTHING,
        title=TITLES[NOTHING],
        proposer=NOTHING,
        setpoint_a=now.setpoint_a.tolist(),
        change_a=[0.0] * len(now.setpoint_a),
        predicted=dict(figures),
        predicted_values=values,
        rollout=[figures["rms_mm"]] if "rms_mm" in figures else [],
        final_values=values,
        note="",
        error="",
    )


def failed(algorithm: str, why: str) -> Option:
    """It cannot say."""
    return Option(
        algorithm=algorithm, title=title(algorithm), proposer="", setpoint_a=[], change_a=[], predicted={},
        predicted_values=[], rollout=[], final_values=[], note="", error=why,
    )  # fmt: skip


def title(algorithm: str) -> str:
    """For people."""
    return TITLES.get(algorithm, algorithm)


def figures_of(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Figures as JSON has them."""
    return {name: known(value) for name, value in figures.items()}


def numbers_of(values: Array, valid: Mask) -> Numbers:
    """Channels as JSON has them; None where not valid."""
    return [known(value) if ok else None for value, ok in zip(values, valid, strict=True)]


def known(value: float) -> float | None:
    """A number as JSON has it."""
    return float(value) if math.isfinite(value) else None
