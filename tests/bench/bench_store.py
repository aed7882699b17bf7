"""What it costs to write everything down first: one step of ten correctors, opening, importing.

The journal's bar holds for the embedded database on the disk at hand; the bare commit beside it, a write and an fsync
of the same size without beamctl, shows how much of it is the disk.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from beamctl.engine.base import Outcome, Reading, Severity, WriteResult
from beamctl.store.journal import Put
from beamctl.store.open import Store, open_store
from beamctl.store.runs import NewRun

STEPS = 500
N_CORRECTOR = 10
N_SAMPLE = 150
"""readings of one step: five of every BPM channel and readback"""
BAR_MS = 5.0
RUN = NewRun(section="cm1", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c")


def main() -> None:
    """Print medians and 99th percentiles."""
    with tempfile.TemporaryDirectory(prefix="beamctl-bench-", dir=Path.cwd()) as folder:
        print(f"import: {_import_s():.2f} s in a process of its own")
        url = f"sqlite:///{folder}/beamctl.db"
        print(f"create: {_ms(lambda: open_store(url).close()):.0f} ms, Alembic included")
        print(f"open:   {_ms(lambda: open_store(url).close()):.1f} ms")
        bare = sorted(_bare_commits(Path(folder) / "bare.db"))
        print(f"two bare commits: median {median(bare):.2f} ms, p99 {bare[-STEPS // 100]:.2f} ms")
        with open_store(url) as store:
            _steps(store)


def _steps(store: Store) -> None:
    with store.leases.section("cm1") as lease:
        run = store.runs.create(lease, RUN).id
        puts = [Put(f"pv{k}", 0.0, 1.0) for k in range(N_CORRECTOR)]
        reading = Reading(0.1, Severity.NO_ALARM, 0, 1.0, 2.0, 3, True)
        readings = [(f"bpm{k}", reading) for k in range(N_SAMPLE)]

        def step() -> None:
            ids = store.journal.intend(lease, run, puts)
            store.journal.settle({intent: WriteResult(Outcome.OK, 1.0, 1.0) for intent in ids})

        step()
        used = time.process_time()
        journal = sorted(_ms(step) for _ in range(STEPS))
        used = time.process_time() - used
        samples = sorted(_ms(lambda: store.samples.append(run, 1, readings)) for _ in range(STEPS // 5))
        events = sorted(_ms(lambda: store.events.append("tick", {"rms_mm": 0.5}, run)) for _ in range(STEPS // 5))
    print(
        f"journal of a step ({N_CORRECTOR} correctors, intend + settle): median {median(journal):.2f} ms, "
        f"p99 {journal[-STEPS // 100]:.2f} ms (bar {BAR_MS:g} ms), {1e3 * used / STEPS:.2f} ms of it CPU"
    )
    print(f"{N_SAMPLE} samples: median {median(samples):.2f} ms; one event: median {median(events):.2f} ms")


def _bare_commits(file: Path) -> list[float]:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")

    def commits() -> None:
        for _ in range(2):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [("pv", 1.0)] * N_CORRECTOR)
            connection.execute("COMMIT")

    times = [_ms(commits) for _ in range(STEPS)]
    connection.close()
    return times


def _import_s() -> float:
    code = "import time; t = time.perf_counter(); import beamctl.store.open; print(time.perf_counter() - t)"
    times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in "123"]
    return min(times)


def _ms(action) -> float:
    since = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - since)


if __name__ == "__main__":
    main()
