"""The control process under fire: killed, aborted and halted at random instants; the judge is the IOC's own put log.

Each lane is a soft IOC, a store and a control process of their own, with three cryomodules at work at the same time.

    python -m tests.bench.bench_control kill 100
    python -m tests.bench.bench_control orders 100
    python -m tests.bench.bench_control ready 20
"""

import json
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SPEED = "4"
TASKS = ("cm1-orbit", "cm2-orbit", "cm3-orbit")
LANES = 2
LONGEST_S = 14.0
"""a kill or an order comes within this time of the requests, which a run of cm1-orbit takes"""
BAR_S = 30.0
BAR_LATENCY_MS = 200.0
UNREACHABLE = {"algorithm": "svd", "target": 0.01}


@dataclass
class Put:
    """A line of the IOC's log."""

    at: float
    pv: str
    value: float


@dataclass
class Figures:
    """What a campaign has counted; shared by its lanes."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    abort_ms: list[float] = field(default_factory=list)
    halt_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Lane:
    """One machine and its control process."""

    def __init__(self, folder: Path, ioc: Any, prefix: str) -> None:
        from tests.system.conftest import ControlProcess

        self.ioc = ioc
        self._log = folder / "puts"
        self._read = 0
        self.control = ControlProcess(prefix, f"sqlite:///{folder}/beamctl.db", folder / "operate.log")
        self.knobs = {t: [k.setpoint for k in self.control.deployment.kit(t).layout().knobs] for t in TASKS}

    def puts(self) -> list[Put]:
        """Those that came since the last time."""
        text = self._log.read_text()
        new, self._read = text[self._read :], len(text)
        return [Put(float(at), pv, float(value)) for at, pv, value in map(str.split, new.splitlines())]

    def held(self, task: str) -> dict[str, float]:
        """What the IOC says, over a client of its own."""
        from beamctl.engine.epics.engine import EpicsEngine

        engine = EpicsEngine(["127.0.0.1"])
        try:
            engine.start(self.knobs[task], 30.0)
            return {pv: r.number for pv, r in engine.read(self.knobs[task], 30.0).items()}
        finally:
            engine.close()


def lanes(count: int, work: Callable[[Lane, int], None], rounds: int) -> None:
    """Share the rounds among so many machines."""
    from tests.conftest import IocProcess

    queue = iter(range(rounds))
    lock = threading.Lock()

    def one(folder: Path) -> None:
        prefix = f"B{secrets.token_hex(3)}:"
        argv = [sys.executable, "-m", "ioc", "--die-with-parent", "--prefix", prefix, "--speed", SPEED, "--seed", "7"]
        ioc = IocProcess([*argv, "--put-log", str(folder / "puts")], "READY ", folder / "ioc.log", {})
        lane = Lane(folder, ioc, prefix)
        try:
            while True:
                with lock:
                    number = next(queue, None)
                if number is None:
                    return
                work(lane, number)
        finally:
            lane.control.close()
            ioc.close()

    with tempfile.TemporaryDirectory() as folder:
        threads = []
        for k in range(count):
            (Path(folder) / str(k)).mkdir()
            threads.append(threading.Thread(target=one, args=(Path(folder) / str(k),)))
            threads[-1].start()
        for thread in threads:
            thread.join()


def unannounced(lane: Lane, puts: list[Put], runs: list[int]) -> list[Put]:
    """Puts in the IOC's log without an intent that was durable before."""
    intents = [i for run in runs for i in lane.control.store.journal.of_run(run)]
    left = Counter((i.pv, round(i.new, 6)) for i in intents)
    first = {}
    for i in intents:
        first.setdefault((i.pv, round(i.new, 6)), i.written.timestamp())
    bad = []
    for put in puts:
        key = (put.pv, round(put.value, 6))
        left[key] -= 1
        if left[key] < 0 or put.at < first[key]:
            bad.append(put)
    return bad


def kill_round(lane: Lane, number: int, figures: Figures) -> None:
    """Three runs, kill -9 at a random instant, restart, judge."""
    control = lane.control
    lane.puts()
    found = {task: lane.held(task) for task in TASKS}
    control.start()
    runs = [control.run_of(control.ask(task, **UNREACHABLE)) for task in TASKS]
    time.sleep(random.uniform(0.0, LONGEST_S))
    control.kill()
    states = Counter(control.store.runs.get(run.id).state.value for run in runs)
    figures.counts.update({f"killed while {state}": n for state, n in states.items()})
    began = time.monotonic()
    control.start()
    ended = [_ended(control, run.id, began) for run in runs]
    puts = lane.puts()
    figures.counts["kills"] += 1
    for task, run, seconds in zip(TASKS, runs, ended, strict=True):
        now, held = control.store.runs.get(run.id), lane.held(task)
        off = {pv for pv, value in held.items() if abs(value - found[task][pv]) > 1e-3}
        good = now.state.value in ("restored", "accepted", "idle")
        figures.counts["runs"] += 1
        is_kept = now.state.value == "accepted"
        figures.counts["kept" if is_kept else "restored" if not off else "reported" if not good else "LOST"] += 1
        figures.counts["in time" if seconds <= BAR_S else "LATE"] += 1
        figures.counts["open intents left"] += sum(i.outcome is None for i in control.store.journal.of_run(run.id))
        figures.seconds.append(seconds)
        if (off and not is_kept) or not good or seconds > BAR_S:
            figures.faults.append(
                f"{number} {task} {now.state.value} after {seconds:.1f} s, off {len(off)}: {now.reason}"
            )
    bad = unannounced(lane, puts, [run.id for run in runs])
    figures.counts["puts"] += len(puts)
    figures.counts["puts without intent"] += len(bad)
    control.kill()
    if number % 5 == 4:
        print(json.dumps(figures.counts), flush=True)


def _ended(control: Any, run: int, began: float) -> float:
    """How long after the restart a run was settled, or handed to a person."""
    settled = ("halted", "fault", "unknown")
    control.wait_for(lambda: (r := control.store.runs.get(run)).ended or r.state.value in settled)
    return time.monotonic() - began


def order_round(lane: Lane, number: int, figures: Figures) -> None:
    """Three runs; at a random instant each one is aborted, or halted and then restored."""
    from beamctl.errors import StoreConflictError
    from beamctl.store.states import Verb

    control = lane.control
    if control.process is None:
        control.start()
    verb = Verb.HALT if number % 2 else Verb.ABORT
    lane.puts()
    found = {task: lane.held(task) for task in TASKS}
    runs = [control.run_of(control.ask(task, **UNREACHABLE)) for task in TASKS]
    time.sleep(random.uniform(0.0, 0.7 * LONGEST_S))
    given = {}
    for run in runs:
        given[run.id] = time.time()
        try:
            control.store.commands.send(run.id, verb, "tester")
        except StoreConflictError:
            del given[run.id]  # it was over before
    orders = [(task, run) for task, run in zip(TASKS, runs, strict=True) if run.id in given]
    figures.counts["over before"] += len(runs) - len(orders)
    for run in runs:
        control.wait_for(
            lambda r=run: (n := control.store.runs.get(r.id)).ended or n.state.value in ("halted", "fault")
        )
    time.sleep(2.0)
    puts = lane.puts()
    for task, run in orders:
        events = control.store.events.read(run=run.id, limit=100_000)
        restoring = [e.time.timestamp() for e in events if e.kind == "state" and e.payload["state"] == "restoring"]
        until = min(restoring, default=float("inf"))
        late = [p.at - given[run.id] for p in puts if p.pv in lane.knobs[task] and given[run.id] < p.at < until]
        (figures.abort_ms if verb is Verb.ABORT else figures.halt_ms).append(1e3 * max(late, default=0.0))
        if verb is Verb.HALT and control.store.runs.get(run.id).ended is None:
            figures.counts["halted"] += 1
            control.store.commands.send(run.id, Verb.RESTORE, "tester")
    for task, run in orders:
        now = control.end_of(run)
        off = {pv for pv, value in lane.held(task).items() if abs(value - found[task][pv]) > 1e-3}
        figures.counts["runs"] += 1
        is_kept = now.state.value == "accepted"  # its last row was on its way
        figures.counts["kept" if is_kept else "restored" if not off else "LOST"] += 1
        if off and not is_kept:
            figures.faults.append(f"{number} {verb.value} {task} {now.state.value}: {now.reason}")
    figures.counts["puts"] += len(puts)
    figures.counts["puts without intent"] += len(unannounced(lane, puts, [run.id for run in runs]))
    if number % 5 == 4:
        print(json.dumps(figures.counts), flush=True)


def kill_campaign(rounds: int = 100) -> None:
    """kill -9 at random instants."""
    figures = Figures()
    lanes(LANES, lambda lane, number: kill_round(lane, number, figures), rounds)
    print(json.dumps(figures.counts))
    s = np.array(figures.seconds)
    print(f"restart to settled: median {np.median(s):.1f} s, worst {s.max():.1f} s (bar {BAR_S:g} s)")
    print("\n".join(figures.faults))


def order_campaign(rounds: int = 100) -> None:
    """Abort and halt at random instants."""
    figures = Figures()
    lanes(LANES, lambda lane, number: order_round(lane, number, figures), rounds)
    print(json.dumps(figures.counts))
    for name, values in (("abort", figures.abort_ms), ("halt", figures.halt_ms)):
        if values:
            v = np.array(values)
            print(
                f"{name} to last put: {len(v)} orders, {np.mean(v > 0):.0%} with a put after it, "
                f"p99 {np.percentile(v, 99):.0f} ms, worst {v.max():.0f} ms (bar {BAR_LATENCY_MS:g} ms)"
            )
    print("\n".join(figures.faults))


def ready_campaign(rounds: int = 20) -> None:
    """Start to ready of operate."""
    from tests.system.conftest import ControlProcess

    with tempfile.TemporaryDirectory() as folder:
        control = ControlProcess("NOBODY:", f"sqlite:///{folder}/beamctl.db", Path(folder) / "log")
        seconds = []
        for _ in range(rounds):
            seconds.append(control.start())
            control.kill()
        control.close()
    print(
        f"operate: start to ready median {np.median(seconds):.2f} s, worst {max(seconds):.2f} s of {rounds} (bar 2 s)"
    )


def main() -> None:
    """A short one of each."""
    ready_campaign(10)
    kill_campaign(10)
    order_campaign(10)


CAMPAIGNS = {"kill": kill_campaign, "orders": order_campaign, "ready": ready_campaign}

if __name__ == "__main__":
    CAMPAIGNS[sys.argv[1]](*map(int, sys.argv[2:]))
