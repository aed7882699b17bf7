"""A section of the simulated machine with a log of every put that reaches it, and switches to break everything.

The judge of a guarded run is this log, never what the run says of itself. Time is virtual.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sqlalchemy import event

from beamctl.agent.least_squares import BoxLeastSquaresAgent
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.engine import Faults, SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.run.events import Changed
from beamctl.run.inherited import settle_open
from beamctl.run.orbit_course import OrbitCourse
from beamctl.run.recovery import Left, Recovered, recover
from beamctl.run.session import TuningRun
from beamctl.run.store_record import StoreRecord, taken_over
from beamctl.settings import Settings
from beamctl.store.leases import Lease
from beamctl.store.open import Store, open_store
from beamctl.store.runs import NewRun, Run
from beamctl.store.states import RunState
from beamctl.wiring.deployment import Deployment

D = Deployment(Settings())
SCENARIO, SEED = "err5", 3


@dataclass(frozen=True)
class Put:
    """A put that reached the machine: when, where, what, and what was held before; A."""

    at: float
    pv: str
    value: float
    before: float


class EventfulClock:
    """A virtual clock on which things happen."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._events: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self._clock.now()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something some time from now."""
        self._events.append((self.now() + seconds, action))
        self._events.sort(key=lambda event: event[0])

    def sleep(self, seconds: float) -> None:
        end = self.now() + seconds
        while self._events and self._events[0][0] <= end:
            at, action = self._events.pop(0)
            self._clock.sleep(max(0.0, at - self.now()))
            action()
        self._clock.sleep(max(0.0, end - self.now()))


class WatchedEngine:
    """Counts the calls; whoever watches may raise before or after any of them."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self.clock = engine.clock
        self.calls: list[str] = []
        self.before: Callable[[int, str], None] = lambda n, name: None
        self.after: Callable[[int, str], None] = lambda n, name: None

    def __getattr__(self, name: str):
        method = getattr(self._engine, name)

        def call(*args, **kwargs):
            self.calls.append(name)
            n = len(self.calls)
            self.before(n, name)
            answer = method(*args, **kwargs)
            self.after(n, name)
            return answer

        return call


class Rig:
    """One section, ready to be tuned."""

    def __init__(self, task: str = "cm1-orbit", scenario: str = SCENARIO, seed: int = SEED) -> None:
        self.faults = Faults()
        kit = D.orbit(task)
        self.plant = LinacPlant(kit.machine, (kit.design, kit.ion), scenario, seed)
        names = list(kit.machine.sections)
        for behind in names[names.index(kit.task.section) + 1 :]:
            del self.plant.sections[behind]  # nobody looks at them
        self._sound_put = self.plant.put
        self.plant.put = self._logged_put
        self.puts: list[Put] = []
        self.on_put: Callable[[Put], None] = lambda put: None
        inner = SimulatedEngine(self.plant, self.faults)
        self.clock = inner.clock = EventfulClock(inner.clock)
        self.engine = WatchedEngine(inner)
        self.layout = kit.layout()
        self.problem = kit.problem()
        self.knobs = self.layout.knobs
        self.start = {k.setpoint: float(self.plant.setpoint(k.setpoint)) for k in self.knobs}
        self.events: list[object] = []
        self.on_event: Callable[[object], None] = lambda event: None

    def _logged_put(self, pv: str, value: float) -> float:
        if self.plant.channels[pv].role is not Role.SETPOINT:
            return self._sound_put(pv, value)
        put = Put(self.clock.now(), pv, value, float(self.plant.setpoint(pv)))
        self.puts.append(put)
        held = self._sound_put(pv, value)
        self.on_put(put)
        return held

    def foreign(self, pv: str, value: float) -> None:
        """Somebody else writes."""
        self._sound_put(pv, value)

    def permit(self, is_high: bool) -> None:
        """Switch the beam."""
        self._sound_put(self.layout.permit, float(is_high))

    def limit(self, pv: str, lo: float, hi: float) -> None:
        """Have the IOC name other limits."""
        self.plant.channels[pv] = replace(self.plant.channels[pv], lo=lo, hi=hi)

    def guard(self, should_stop: Callable[[], bool] = lambda: False) -> GuardedSection:
        """A guard that is not armed."""
        return GuardedSection(self.engine, self.layout, should_stop)

    def armed(self) -> GuardedSection:
        """A guard that is."""
        guard = self.guard()
        guard.arm()
        return guard

    def run(self, agent=None, *, record=None, orders=None, asks=False, **problem) -> TuningRun:
        """A run; events go to ``events`` and then to ``on_event``."""

        def listen(event: object) -> None:
            self.events.append(event)
            self.on_event(event)

        course = OrbitCourse(replace(self.problem, **problem), agent or BoxLeastSquaresAgent())
        return TuningRun(self.engine, self.layout, course, listen, record=record, orders=orders, asks=asks)

    def again(self) -> "WatchedEngine":
        """The same machine as a new process sees it; its clock goes on."""
        inner = SimulatedEngine(self.plant, self.faults)
        self.clock = inner.clock = EventfulClock(inner.clock)
        self.engine = WatchedEngine(inner)
        return self.engine

    def of(self, kind: type) -> list:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[RunState]:
        """Where the run has been."""
        return [event.state for event in self.of(Changed)]

    def off(self) -> set[str]:
        """Setpoints that do not hold what they held at the start, or whose supplies are elsewhere."""
        self.clock.sleep(20.0)
        return {
            pv
            for pv, value in self.start.items()
            if not (math.isclose(self.plant.setpoint(pv), value, abs_tol=1e-3) and self.plant.is_settled(pv))
        }

    def breaches(self) -> list[Put]:
        """Puts outside the limits of description or IOC, or more than one step away from what was held."""
        knobs = {k.setpoint: k for k in self.knobs}
        return [p for p in self.puts if not _is_allowed(p, knobs[p.pv], self.plant.channels[p.pv])]


def _is_allowed(put: Put, knob, channel) -> bool:
    lo, hi = max(knob.lo, channel.lo), min(knob.hi, channel.hi)
    return math.isfinite(put.value) and lo <= put.value <= hi and abs(put.value - put.before) <= knob.step * (1 + 1e-6)


class Proposer:
    """An agent that proposes what a function of the view says, A."""

    name = identity = "proposer"

    def __init__(self, propose: Callable) -> None:
        self._propose = propose
        self.calls = 0

    def start(self, problem) -> None:
        self.problem = problem

    def propose(self, view):
        self.calls += 1
        return self._propose(view)


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    """``make_rig(scenario="dead")``."""
    return Rig


@pytest.fixture
def rig() -> Rig:
    """The usual one."""
    return Rig()


@pytest.fixture
def proposer() -> type[Proposer]:
    """An agent from a function."""
    return Proposer


@pytest.fixture
def moved() -> Callable[[Rig, float], np.ndarray]:
    """Setpoints so many A above those at the start (below, where there is no room)."""

    def by(rig: Rig, change_a: float) -> np.ndarray:
        values = np.array(list(rig.start.values()))
        return np.where(values + change_a > 70, values - change_a, values + change_a)

    return by


class Book:
    """A real store with a run in it, that may be made to fail."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.pragma = ""
        event.listen(store.database._engine, "checkout", lambda connection, *_: self._spoil(connection))
        self.begin()

    def begin(self) -> None:
        """Another run."""
        self.lease: Lease = self.store.leases.section("s")
        self.run: Run = self.store.runs.create(
            self.lease,
            NewRun(section="s", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c"),
        )
        self.record = StoreRecord(self.store, self.lease, self.run.id)

    def _spoil(self, connection) -> None:
        if self.pragma:
            connection.execute(self.pragma)

    def recover(self, rig: Rig, gate: Callable[[], None] = lambda: None) -> Recovered:
        """What a new control process would do."""
        settle_open(self.store, self.run.id)
        left = Left(
            self.store.runs.get(self.run.id).snapshot,
            self.store.journal.of_run(self.run.id),
            taken_over(self.store, self.run.id),
        )
        record = StoreRecord(self.store, self.lease, self.run.id)
        return recover(rig.again(), rig.layout, left, record, gate, 5.0)

    def intended(self) -> Counter:
        """How often each put was written down."""
        return Counter((i.pv, round(i.new, 6)) for i in self.store.journal.of_run(self.run.id))

    def end(self) -> None:
        """Of the run, whatever became of it."""
        self.store.runs.finish(self.lease, self.run.id, RunState.RESTORED, "", "")
        self.lease.release()


@pytest.fixture
def book(tmp_path) -> Iterator[Book]:
    """An open one."""
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        yield Book(store)


def unannounced(rig: Rig, book: Book) -> Counter:
    """Puts in the machine's log that were not written down first."""
    return Counter((p.pv, round(p.value, 6)) for p in rig.puts) - book.intended()


@pytest.fixture
def no_put_unannounced() -> Callable[[Rig, Book], bool]:
    """Whether every put was written down first."""
    return lambda rig, book: not unannounced(rig, book)
