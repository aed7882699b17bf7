"""Gaussian process over all readings of an episode, with a prior from the simulator: no learning on the way.

What is modelled is y = log(MFC1 / source current + floor). Before the first reading the simulator already knows its
mean over many machines near a family of matched settings, a bump, and how machines differ from it: a Matern 5/2
kernel in a metric, plus one number per machine. The numbers come from :mod:`beamctl.training.gp_prior` and stand in
:class:`GpParameters`.

Families are listed in order of preference; the search goes for the first that the budget allows to reach. Each step
climbs the upper confidence bound inside the step box; where a setting further away promises more, it goes there. At
the end it returns to the visited setting of which the model thinks most, which is not always the one with the
luckiest reading.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy  # its parts load themselves when they are used
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, PositiveFloat

from beamctl.errors import IncompatibleAgentError
from beamctl.task.transmission import Array, objective
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

Vector = tuple[FiniteFloat, ...]
Matrix = tuple[Vector, ...]

NEAR, ZOOM = 256, 64
"""candidates in the step box, and around the best of them in each round of refinement"""
ROUNDS, SHRINK = 3, 0.35
FAR = 128
"""candidates around a family"""
FACE = 0.3
"""exponent that sends half of the candidates towards the faces of the box, where a step is longest"""
LEAST_SHARE = 0.05
"""below this share of the source current the noise counts as if the current were this large"""


class GpFamily(BaseModel):
    """What the simulator knows of one family of matched settings; knobs in ranges above their lower limits.

    Attributes:
        height, centre, bump: mean of exp(y) - floor over the machines, height * exp(-d bump d / 2), d the distance from
            the centre; one number, or row, per knob of the injector.
        metric: of the kernel, one row per knob; a distance of 1 is one correlation length.
        amplitude: rms of y of a machine around the mean, at any setting.
        offset: rms of what all settings of a machine have in common.
        noise: rms of y that no setting explains, besides the monitor's noise.
        floor: added to the relative current under the logarithm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: PositiveFloat
    centre: Vector
    bump: Matrix
    metric: Matrix
    amplitude: PositiveFloat
    offset: NonNegativeFloat
    noise: PositiveFloat
    floor: PositiveFloat


class GpParameters(BaseModel):
    """Prior and search.

    Attributes:
        families: the preferred one first.
        reserve: steps that must be left after the way to a family; the nearest is taken where no family leaves them.
        beta: how many standard deviations count as a promise.
        spread: half-width of the settings looked at around a family, in ranges.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    families: Annotated[tuple[GpFamily, ...], Field(min_length=1)]
    reserve: int = 12
    beta: NonNegativeFloat = 1.5
    spread: PositiveFloat = 0.15


class GaussianProcessAgent:
    """Proposes the most promising setting within reach; the same view always gives the same proposal.

    Args:
        parameters: prior and search.
        name: as on the command line.
        since: number of the reading at which it takes over from another agent; the family is chosen there.
    """

    def __init__(self, parameters: GpParameters, name: str = "gp", since: int = 0) -> None:
        self.name = self.identity = name
        self._parameters = parameters
        self._since = since

    def start(self, problem: TransmissionProblem) -> None:
        """Take the problem's knobs out of the prior; those that stand still are taken to stand at the centres.

        Raises:
            IncompatibleAgentError: a knob has no place in the prior.
        """
        known = len(self._parameters.families[0].centre)
        if problem.slots.max() >= known:
            raise IncompatibleAgentError(
                f"{self.identity} knows {known} knobs, {problem.task} has one in place {problem.slots.max()}"
            )
        self._problem = problem
        self._priors = [Prior.of(family, problem.slots) for family in self._parameters.families]
        self._span = problem.hi_a - problem.lo_a
        self._step = problem.step_a / self._span
        self._near, self._far = candidates(problem.n_knob)

    def propose(self, view: TransmissionView) -> Array:
        """Change of each setpoint in A, shape (batch, k); each row on its own."""
        p = self._problem
        where = (view.readback_a - p.lo_a) / self._span
        here = (view.setpoint_a - p.lo_a) / self._span
        level = np.maximum(objective(view.reading_ma, p.floor_ma), 0.0) / p.source_ma
        since = min(self._since, where.shape[1] - 1)
        budget = view.steps_left + where.shape[1] - 1 - since
        out = []
        for x, m, u in zip(where, level, here, strict=True):
            prior = self._family(x[since], budget)
            out.append(self._row(Posterior(prior, x, m, p.noise_ma / p.source_ma), u, view.steps_left))
        return np.array(out) * self._span

    def _family(self, x: Array, steps: int) -> "Prior":
        """The first family that can be reached in time; else the nearest."""
        away = [self._steps_to(prior.centre, x) for prior in self._priors]
        for prior, way in zip(self._priors, away, strict=True):
            if way <= steps - self._parameters.reserve:
                return prior
        return self._priors[int(np.argmin(away))]

    def _row(self, posterior: "Posterior", here: Array, steps_left: int) -> Array:
        """Change of the knobs of one machine, in ranges."""
        visited = posterior.x
        home = visited[posterior.bound(visited, 0.0).argmax()]
        change = self._search(posterior, here)
        return change if self._steps_to(home, here + change) < steps_left else np.asarray(home - here)

    def _search(self, posterior: "Posterior", here: Array) -> Array:
        """Change towards the most promising setting, whatever comes after."""
        near, promise = self._climb(posterior, here)
        far = np.clip(posterior.prior.centre + self._parameters.spread * self._far, 0.0, 1.0)
        bound = posterior.bound(far, self._parameters.beta)
        if bound.max() <= promise:
            return np.asarray(near - here)
        way = far[bound.argmax()] - here
        return np.asarray(way / max(1.0, np.abs(way / self._step).max()))

    def _climb(self, posterior: "Posterior", here: Array) -> tuple[Array, float]:
        """The most promising setting in the step box, and its bound."""
        lo, hi = np.maximum(here - self._step, 0.0), np.minimum(here + self._step, 1.0)
        best, size, tried, promise = here, 1.0, self._near, 0.0
        for _ in range(1 + ROUNDS):
            x = np.clip(best + size * self._step * tried, lo, hi)
            bound = posterior.bound(x, self._parameters.beta)
            best, promise = x[bound.argmax()], float(bound.max())
            size, tried = size * SHRINK, self._near[:ZOOM]
        return best, promise

    def _steps_to(self, x: Array, here: Array) -> float:
        return float(np.ceil(np.abs((x - here) / self._step).max() - 0.05))


@dataclass(frozen=True)
class Prior:
    """A family for the knobs of one problem, metrics as their roots: metric = root root^T."""

    height: float
    centre: Array
    bump_root: Array
    root: Array
    amplitude: float
    offset: float
    noise: float
    floor: float

    @classmethod
    def of(cls, f: GpFamily, slots: NDArray[np.int64]) -> "Prior":
        """Rows and columns of the knobs that move."""

        def root(metric: Matrix) -> Array:
            return np.asarray(scipy.linalg.cholesky(np.array(metric)[np.ix_(slots, slots)], lower=True))

        centre = np.array(f.centre)[slots]
        return cls(f.height, centre, root(f.bump), root(f.metric), f.amplitude, f.offset, f.noise, f.floor)

    def mean(self, x: Array) -> Array:
        """Of y at settings x in ranges, (n, k) -> (n,)."""
        away = np.square((x - self.centre) @ self.bump_root).sum(axis=-1)
        return np.asarray(np.log(self.floor + self.height * np.exp(-0.5 * away)))

    def covariance(self, a: Array, b: Array) -> Array:
        """Between settings in the metric's coordinates, (n, k) and (m, k) -> (n, m)."""
        square = np.square(a).sum(axis=-1)[:, None] + np.square(b).sum(axis=-1) - 2.0 * a @ b.T
        r = np.sqrt(5.0 * np.maximum(square, 0.0))
        return np.asarray(self.amplitude**2 * (1.0 + r + r * r / 3.0) * np.exp(-r) + self.offset**2)


class Posterior:
    """What the readings of one machine say.

    Args:
        prior: for its knobs.
        x: settings read, in ranges, shape (t, k).
        level: MFC1 relative to the source, not negative, shape (t,).
        noise: rms of ``level``.
    """

    def __init__(self, prior: Prior, x: Array, level: Array, noise: float) -> None:
        self.x = x
        self.prior = prior
        self._seen = x @ prior.root
        variance = prior.noise**2 + np.square(noise / np.maximum(level + prior.floor, LEAST_SHARE))
        self._factor = scipy.linalg.cholesky(prior.covariance(self._seen, self._seen) + np.diag(variance), lower=True)
        rest = np.log(level + prior.floor) - prior.mean(x)
        self._inverse = scipy.linalg.cho_solve((self._factor, True), np.eye(len(x)))
        self._weights = self._inverse @ rest

    def bound(self, x: Array, beta: float) -> Array:
        """Mean plus ``beta`` standard deviations of y, (n, k) -> (n,)."""
        prior = self.prior
        shared = prior.covariance(x @ prior.root, self._seen)
        mean = prior.mean(x) + shared @ self._weights
        if beta == 0.0:
            return np.asarray(mean)
        total = prior.amplitude**2 + prior.offset**2
        variance = total - ((shared @ self._inverse) * shared).sum(axis=-1)
        return np.asarray(mean + beta * np.sqrt(np.maximum(variance, 0.0)))


def candidates(k: int) -> tuple[Array, Array]:
    """Points in [-1, 1]^k that are tried near and far, the first of both the centre; always the same ones."""
    near = 2.0 * scipy.stats.qmc.Sobol(k, seed=0).random(NEAR) - 1.0
    near[1::2] = np.sign(near[1::2]) * np.abs(near[1::2]) ** FACE
    far = 2.0 * scipy.stats.qmc.Sobol(k, seed=1).random(FAR) - 1.0
    near[0], far[0] = 0.0, 0.0
    return near, far
