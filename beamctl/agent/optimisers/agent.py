"""Any sequential optimiser as an agent: walks to the point it asks for, one step and one reading at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from beamctl.agent.optimisers.bayesian import checked, expected_improvement, trust_region
from beamctl.agent.optimisers.extremum_seeking import extremum_seeking
from beamctl.agent.optimisers.grid import grid
from beamctl.agent.optimisers.nelder_mead import nelder_mead
from beamctl.agent.optimisers.rcds import rcds
from beamctl.agent.optimisers.search import Array, Asking, Search, Situation, Told
from beamctl.errors import IncompatibleAgentError, UnknownNameError
from beamctl.task.orbit import orbit_rms
from beamctl.task.problem import OrbitProblem, OrbitView
from beamctl.task.transmission import objective
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

ARRIVED = 1e-6
"""ranges"""
MOST_QUESTIONS = 50
"""points at the very place where the machine stands, before the machine is left there"""

OPTIMISERS: dict[str, Callable[[], Search]] = {
    "nelder-mead": lambda: nelder_mead,
    "rcds": lambda: rcds,
    "es": lambda: extremum_seeking,
    "grid": lambda: grid,
    "bo": lambda: checked(expected_improvement),
    "bo-trust": lambda: checked(trust_region),
}


def optimiser_agent(name: str, seed: int = 0) -> "OptimiserAgent":
    """An optimiser by name.

    Raises:
        UnknownNameError: lists those that exist.
        MissingExtraError: it needs a package that is not installed.
    """
    if name not in OPTIMISERS:
        raise UnknownNameError("optimiser", name, OPTIMISERS)
    return OptimiserAgent(name, OPTIMISERS[name](), seed)


@dataclass
class _Row:
    """What one machine's optimiser has seen and wants, in ranges; ``asked``: largest knob change last proposed."""

    asking: Asking
    target: Array | None
    x: Array
    best_x: Array
    best_value: float
    steps: int = 0
    asked: float = 0.0
    on_the_way: list[tuple[Array, float]] = field(default_factory=list)


class OptimiserAgent:
    """One optimiser per row; remembers the episode, so every episode needs its own :meth:`start`.

    A setting that is the same as at the last proposal is not a new reading but the old one made again, as after a
    step that could not be taken: the proposal stays. When only as many steps are left as the way takes, it returns to
    the best reading.

    Args:
        name: as on the command line.
        search: the optimiser.
        seed: every row starts from it.
    """

    def __init__(self, name: str, search: Search, seed: int = 0) -> None:
        self.name = self.identity = name
        self._search = search
        self._seed = seed

    def start(self, problem: OrbitProblem | TransmissionProblem) -> None:
        """Forget everything, keep the problem."""
        self._problem = problem
        self._span = problem.hi_a - problem.lo_a
        self._step = problem.step_a / self._span
        self._rows: list[_Row] = []
        self._scale: list[float] = []

    def propose(self, view: OrbitView | TransmissionView) -> Array:
        """Change of each setpoint in A, shape (batch, k)."""
        value = self._values(view)
        here = (view.setpoint_a - self._problem.lo_a) / self._span
        if not self._rows:
            self._rows = [self._begin(x, float(v)) for x, v in zip(here, value, strict=True)]
        else:
            for row, x, v in zip(self._rows, here, value, strict=True):
                self._see(row, x, float(v))
        return np.array([self._towards(row) for row in self._rows]) * self._span

    def _values(self, view: OrbitView | TransmissionView) -> Array:
        """What is raised: MFC1 over the source's current, or minus the RMS over the first one."""
        problem = self._problem
        if isinstance(problem, TransmissionProblem) and isinstance(view, TransmissionView):
            return objective(view.reading_ma[:, -1], problem.floor_ma) / problem.source_ma
        if not isinstance(view, OrbitView):
            raise IncompatibleAgentError(f"{self.identity} was started on {problem.task}, a task of another kind")
        rms = orbit_rms(view.history_mm[:, 2], view.valid)
        if not self._scale:
            self._scale = np.maximum(rms, 1e-3).tolist()
        return np.asarray(-rms / np.array(self._scale))

    def _begin(self, x: Array, value: float) -> _Row:
        rng = np.random.default_rng(self._seed)
        asking = self._search(Situation(x, value, self._step, self._problem.max_steps, rng))
        row = _Row(asking, None, x, x, value)
        row.target = next(asking, None)
        self._ask_further(row, value)
        return row

    def _see(self, row: _Row, x: Array, value: float) -> None:
        if np.abs(x - row.x).max() < ARRIVED <= row.asked:
            return
        row.x = x
        row.steps += 1
        row.on_the_way.append((x, value))
        if value > row.best_value:
            row.best_x, row.best_value = x, value
        self._ask_further(row, value)

    def _ask_further(self, row: _Row, value: float) -> None:
        """Tell what was read where a point has been reached, until the optimiser asks for another place."""
        for _ in range(MOST_QUESTIONS):
            if row.target is None or np.abs(row.target - row.x).max() >= ARRIVED:
                return
            readings = row.on_the_way or [(row.x, value)]
            told = Told(np.array([x for x, _ in readings]), np.array([v for _, v in readings]))
            row.on_the_way = []
            try:
                row.target = row.asking.send(told)
            except StopIteration:
                row.target = None
        row.target = None

    def _towards(self, row: _Row) -> Array:
        """A step towards the point that is asked for, in time back to the best reading."""
        left = self._problem.max_steps - row.steps
        change = self._step_along(row.best_x - row.x)
        if row.target is not None:
            out = self._step_along(row.target - row.x)
            if np.ceil(np.abs((row.best_x - row.x - out) / self._step).max() - ARRIVED) < left:
                change = out
        row.asked = float(np.abs(change).max())
        return change

    def _step_along(self, way: Array) -> Array:
        return np.asarray(way / max(1.0, float(np.abs(way / self._step).max())))
