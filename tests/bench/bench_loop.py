"""beamctl's own time per step over Channel Access: everything but ramps, settling and waiting for readings.

A run against a soft IOC in which the agent asks for nothing worth ramping; time spent waiting for BPM and readback
updates (10 Hz) and in the settle time is taken off by a stop-watch around the engine.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from beamctl.cli.soft_machine import soft_ioc
from beamctl.engine.base import Reading
from beamctl.engine.clock import MonotonicClock
from beamctl.run.events import Event, Stepped
from beamctl.run.orbit_course import OrbitCourse
from beamctl.run.session import TuningRun
from beamctl.settings import Settings
from beamctl.task.problem import OrbitProblem, OrbitView
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import epics_engine
from beamctl.wiring.kit import Choice

STEPS = 30
BAR_MS = 20.0


class Stopwatch:
    """Seconds spent waiting on purpose."""

    def __init__(self) -> None:
        self.waited_s = 0.0

    def add(self, since: float) -> None:
        self.waited_s += time.perf_counter() - since


class PatientClock(MonotonicClock):
    """A clock whose sleeping is counted."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def sleep(self, seconds: float) -> None:
        since = time.perf_counter()
        super().sleep(seconds)
        self._watch.add(since)


class WatchedEngine:
    """An engine whose waiting is counted."""

    def __init__(self, engine, watch: Stopwatch) -> None:
        self._engine = engine
        self._watch = watch
        self.clock = PatientClock(watch)

    def wait(
        self, pvs: Sequence[str], since: Mapping[str, int], count: int, timeout_s: float
    ) -> dict[str, list[Reading]]:
        began = time.perf_counter()
        got = self._engine.wait(pvs, since, count, timeout_s)
        self._watch.add(began)
        return got

    def __getattr__(self, name: str):
        return getattr(self._engine, name)


class RestlessAgent:
    """Runs the real policy, then asks for a change too small to ramp."""

    name = "tbsac"
    identity = "bench"

    def __init__(self, inner) -> None:
        self._inner = inner
        self._sign = 1.0

    def start(self, problem: OrbitProblem) -> None:
        self._inner.start(problem)

    def propose(self, view: OrbitView):
        self._sign = -self._sign
        return np.sign(self._inner.propose(view)) * 0 + self._sign * 1e-3


def main() -> None:
    """Print the median and the worst of a run of 30 steps."""
    d = Deployment(Settings())
    watch = Stopwatch()
    marks: list[tuple[float, float]] = []

    def note(event: Event) -> None:
        if isinstance(event, Stepped):
            marks.append((time.perf_counter(), watch.waited_s))

    with soft_ioc(d.settings, "err5", 7):
        engine = WatchedEngine(epics_engine(), watch)
        try:
            kit = d.orbit("cm1-orbit")
            course = OrbitCourse(kit.problem(Choice(target=0.01, max_steps=STEPS)), RestlessAgent(kit.agent()))
            TuningRun(engine, kit.layout(), course, note).execute()
        finally:
            engine.close()
    own = [1e3 * ((b[0] - a[0]) - (b[1] - a[1])) for a, b in pairwise(marks[1:])]
    print(f"own time per step: median {median(own):.1f} ms, worst {max(own):.1f} ms   (bar {BAR_MS:.0f} ms)")


if __name__ == "__main__":
    main()
