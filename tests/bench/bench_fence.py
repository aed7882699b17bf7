"""Late writes with and without a fence: a real EPICS base IOC is frozen, written to, and thawed after the expiry.

In every round one client sends the same value to two setpoints of the frozen IOC at once: as a request to a fence, and
as a plain put. In half of the rounds it is then killed with SIGKILL, in the others it goes on waiting. The IOC is
thawed when the request has expired, and its own setpoints and counters tell what was applied.

Besides, a stream of short-lived requests into an IOC that is frozen at random instants, also in the middle of a check:
the time stamp of the setpoint tells when each was applied. Loopback only.
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from beamctl.engine.base import Outcome
from beamctl.engine.fenced import FencedEngine, FenceStatus
from beamctl.engine.layout import Fence

if TYPE_CHECKING:
    from beamctl.engine.epics.engine import EpicsEngine

ROOT = Path(__file__).parents[2]
IOC = ROOT / "tests" / "contract" / "iocs" / "base_ioc.py"
ROUNDS = 160
FREEZES = 200
STREAM_LIFE_S = 0.03
EPICS_EPOCH_S = 631152000
LIFE_S = 0.3
SHORT_S = 0.05
"""how long the writer waits before its outcome is 'unknown'"""
PATIENCE_S = 30.0
PREFIX = "bench"
FENCED, PLAIN = f"{PREFIX}:SET1", f"{PREFIX}:FREE"
SOFT = f"{PREFIX}:SOFT"
"""a fenced setpoint without device support: its time stamp is that of the put"""
FENCE = Fence(f"{FENCED}:FENCE:Request", f"{FENCED}:FENCE:Acknowledge", f"{PREFIX}:Clock")
COUNTERS = [f"{FENCED}:FENCE:{name}" for name in ("Accepted", "Expired")]


def connected() -> FencedEngine:
    """A client of both setpoints."""
    from beamctl.engine.epics.engine import EpicsEngine

    engine = FencedEngine(EpicsEngine(readback_timeout_s=SHORT_S), {FENCED: FENCE}, LIFE_S, SHORT_S)
    engine.start([FENCED, PLAIN], PATIENCE_S)
    return engine


def send(engine: FencedEngine, value: float) -> None:
    """Write into the frozen IOC."""
    results = engine.write({FENCED: value, PLAIN: value}, SHORT_S)
    assert {result.outcome for result in results.values()} == {Outcome.UNKNOWN}, results


def be_the_writer() -> None:
    """In a process of its own: connect, send when told to, and wait to be killed."""
    engine = connected()
    print("connected", flush=True)
    send(engine, float(sys.stdin.readline()))
    print("sent", flush=True)
    sys.stdin.readline()


class Writer:
    """Such a process."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.bench.bench_fence", "writer"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_for(self, word: str) -> None:
        """Until it has said a word."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == f"{word}\n", line

    def tell(self, value: float) -> None:
        """What to send, now."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{value}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def writer() -> Iterator[Writer]:
    """A connected one, gone at the end."""
    process = Writer()
    try:
        process.wait_for("connected")
        yield process
    finally:
        process.kill()


def campaign(rounds: int) -> dict[str, int]:
    """Counts of late writes."""
    from tests.conftest import IocProcess  # sets the variables of Channel Access for this process and its children

    with tempfile.TemporaryDirectory() as folder:
        ioc = IocProcess([sys.executable, str(IOC), PREFIX], "IOC: ready", Path(folder) / "log", {})
        engine = connected()
        engine.start(COUNTERS, PATIENCE_S)
        figures = dict.fromkeys(("rounds", "killed", "fence_late", "fence_expired", "plain_late", "healthy"), 0)
        try:
            for number in range(rounds):
                one_round(ioc, engine, figures, number)
        finally:
            engine.close()
            ioc.close()
    return figures


def one_round(ioc: object, engine: FencedEngine, figures: dict[str, int], number: int) -> None:
    """A healthy write of both, then one into the frozen IOC."""
    from tests.conftest import IocProcess

    assert isinstance(ioc, IocProcess)
    rest, late = 1.0 + 0.001 * number, 3.0 + 0.001 * number
    write_when_free(engine, rest)
    figures["healthy"] += 1
    watched = [FENCE.acknowledge, PLAIN]
    before = {pv: reading.number for pv, reading in engine.read([*COUNTERS], PATIENCE_S).items()}
    since = {pv: reading.seq for pv, reading in engine.latest(watched).items()}
    if number % 2:
        ioc.freeze()
        send(engine, late)
    else:
        with writer() as process:
            since = {pv: reading.seq for pv, reading in engine.latest(watched).items()}
            ioc.freeze()
            process.tell(late)
            process.wait_for("sent")
        figures["killed"] += 1
    engine.clock.sleep(LIFE_S + 0.05)
    ioc.thaw()
    answers = engine.wait(watched, since, 1, PATIENCE_S)  # what was on its way has arrived, at both
    after = {pv: reading.number for pv, reading in engine.read([FENCED, PLAIN, *COUNTERS], PATIENCE_S).items()}
    accepted, expired = (after[pv] - before[pv] for pv in COUNTERS)
    figures["rounds"] += 1
    figures["fence_late"] += after[FENCED] != rest or accepted != 0
    figures["fence_expired"] += expired == 1 and answers[FENCE.acknowledge][0].number % 16 == FenceStatus.EXPIRED
    figures["plain_late"] += after[PLAIN] == late


def write_when_free(engine: FencedEngine, value: float) -> None:
    """As soon as the puts of the last round have ended."""
    while True:
        results = engine.write({FENCED: value, PLAIN: value}, PATIENCE_S)
        if all(result.outcome is not Outcome.BLOCKED for result in results.values()):
            break
        clock = {FENCE.clock: engine.latest([FENCE.clock])[FENCE.clock].seq}
        engine.wait([FENCE.clock], clock, 1, PATIENCE_S)
    assert {result.outcome for result in results.values()} == {Outcome.OK}, results
    assert {result.held for result in results.values()} == {value}, results


def stream(freezes: int, seed: int = 3) -> dict[str, int]:
    """Requests as fast as they go; how many the IOC applied after their expiry, by its own time stamps."""
    from beamctl.engine.epics.engine import EpicsEngine
    from tests.conftest import IocProcess

    with tempfile.TemporaryDirectory() as folder:
        ioc = IocProcess([sys.executable, str(IOC), PREFIX], "IOC: ready", Path(folder) / "log", {})
        engine, ended = EpicsEngine(), threading.Event()

        def freeze_at_random() -> None:
            draw = random.Random(seed)
            for _ in range(freezes):
                engine.clock.sleep(draw.uniform(0.15, 0.25))
                ioc.freeze()
                engine.clock.sleep(4 * STREAM_LIFE_S)
                ioc.thaw()
            ended.set()

        freezer = threading.Thread(target=freeze_at_random)
        figures = {"freezes": freezes, "requests": 0, "late": 0}
        try:
            told = [f"{SOFT}:FENCE:{name}" for name in ("Expired", "AppliedLate")]
            engine.start([SOFT, f"{SOFT}:FENCE:Request", FENCE.clock, *told], PATIENCE_S)
            freezer.start()
            while not ended.is_set():
                figures["requests"] += 1
                figures["late"] += is_late(engine, figures["requests"])
            expired, late = (int(reading.number) for reading in engine.read(told, PATIENCE_S).values())
            figures |= {"expired": expired, "told_late": late}
        finally:
            if freezer.is_alive():
                freezer.join()
            engine.close()
            ioc.close()
    return figures


def is_late(engine: "EpicsEngine", number: int) -> bool:
    """Send one request; whether it was applied after its expiry."""
    clock = engine.latest([FENCE.clock])[FENCE.clock]
    expiry = clock.number + (engine.clock.now() - clock.received) + STREAM_LIFE_S
    value = 1e-4 * (number % 40000)
    engine.write_with_requests({}, {f"{SOFT}:FENCE:Request": (value, expiry, float(number))}, PATIENCE_S)
    setpoint = engine.read([SOFT], PATIENCE_S)[SOFT]
    return setpoint.number == value and setpoint.stamp - EPICS_EPOCH_S > expiry


def main() -> None:
    """The whole campaign."""
    print(json.dumps(campaign(ROUNDS)))
    print(json.dumps(stream(FREEZES)))


if __name__ == "__main__":
    if sys.argv[1:] == ["writer"]:
        be_the_writer()
    elif sys.argv[1:]:
        print(json.dumps(campaign(int(sys.argv[1]))))
    else:
        main()
