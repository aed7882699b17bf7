"""The service under load, and what that does to runs.

    python -m tests.load.load [SECONDS]

200 clients of the event stream, of which 20 read nothing, 100 reads and 5 commands a second, three runs at work; every
15 s a run is halted, and the IOC's own log says when it was last sent a setpoint. Figures begin when all clients have
connected; that takes a moment, which is told apart.
"""

import asyncio
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.load.clients import Connection, Seen, at_a_rate, listen, stall
from tests.load.plant import TASKS, Plant, percentile, plant
from tests.load.rounds import Rounds, slower

STREAMS, STALLED = 200, 20
ACCOUNTS = 20
READS_PER_S, COMMANDS_PER_S = 100, 5
HALT_EVERY_S = 15.0
ROUNDS = 4
"""of a run before the load begins"""
SETTLE_S = 5.0
"""for 200 clients that connect all at once"""
SLOW_S = 0.1
MEASURED, COMMANDED, HALTED = TASKS
KINDS = (
    "/machine",
    "/runs/N",
    "/runs",
    "/runs/N/setpoints",
    "/service",
    "/sections/N/live",
    "/requests",
    "/runs/N/steps",
)


@dataclass
class Figures:
    """What was measured; times in s."""

    reads: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    commands: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    halts: list[float] = field(default_factory=list)
    streams: list[Seen] = field(default_factory=list)
    late: int = 0
    connecting_s: float = 0.0
    own_lag: Counter[int] = field(default_factory=Counter)
    slow: Counter[int] = field(default_factory=Counter)


class Load:
    """One campaign."""

    def __init__(self, plant: Plant, seconds: float) -> None:
        self.plant = plant
        self.seconds = seconds
        self.figures = Figures()
        self.runs = {task: plant.begin(task) for task in (COMMANDED, HALTED)}
        self.rounds = {name: Rounds(plant.control, MEASURED) for name in ("before", "meanwhile")}
        self._free: asyncio.Queue[Connection] = asyncio.Queue()

    async def run(self) -> None:
        """All clients for some time."""
        port, keys, stop = self.plant.serve.port, self.plant.keys, asyncio.Event()
        for n in range(40):
            self._free.put_nowait(Connection(port, self.plant.operator if n % 2 else keys[n % ACCOUNTS]))
        self._operator = Connection(port, self.plant.operator)
        sections = list(self.plant.sections.values())
        tasks = []
        for n in range(STREAMS):
            query = f"?live={sections[n % len(sections)]}" if n % 2 else ""
            if n < STALLED:
                tasks.append(stall(port, keys[n % ACCOUNTS], f"{query}{'&' if query else '?'}after=0", stop))
            else:
                self.figures.streams.append(Seen())
                tasks.append(listen(port, keys[n % ACCOUNTS], query, self.figures.streams[-1], stop))
        running = [asyncio.create_task(task) for task in tasks]
        await asyncio.sleep(SETTLE_S)
        self.figures.connecting_s = max(seen.longest_gap_s for seen in self.figures.streams)
        for seen in self.figures.streams:
            seen.longest_gap_s = 0.0
        self._began = time.monotonic()
        measured = threading.Event()
        rounds = asyncio.create_task(asyncio.to_thread(self.rounds["meanwhile"].go_on, measured))
        keeper = asyncio.create_task(self._keep(COMMANDED))
        tasks = [
            at_a_rate(READS_PER_S, stop, self._read),
            at_a_rate(COMMANDS_PER_S, stop, self._command),
            self._halt(stop),
            self._watch_itself(stop),
        ]
        running += [asyncio.create_task(task) for task in tasks]
        await asyncio.sleep(self.seconds)
        measured.set()
        await rounds
        stop.set()
        _, late = await asyncio.wait(running, timeout=30.0)
        for task in (*late, keeper):
            task.cancel()
        self.figures.late = len(late)

    async def _keep(self, task: str) -> None:
        """One run after the other."""
        while True:
            await asyncio.sleep(0.5)
            if self.plant.control.store.runs.get(self.runs[task]).ended is not None:
                self.runs[task] = await asyncio.to_thread(self.plant.begin, task)

    async def _read(self, number: int) -> None:
        run = self.runs[COMMANDED if number % 2 else HALTED]
        paths = (
            "/machine", f"/runs/{run}", "/runs", f"/runs/{run}/setpoints", "/service",
            f"/machine/sections/{self.plant.sections[TASKS[number % 3]]}/live", "/requests", f"/runs/{run}/steps",
        )  # fmt: skip
        kind = number % len(paths)
        connection = await self._free.get()
        try:
            began = time.monotonic()
            status, _ = await connection.ask("GET", paths[kind])
            took = time.monotonic() - began
            self.figures.reads[KINDS[kind]].append(took)
            self.figures.slow[int(began - self._began)] += took > SLOW_S
            self.figures.statuses[status] += 1
        finally:
            self._free.put_nowait(connection)

    async def _watch_itself(self, stop: asyncio.Event) -> None:
        """When the clients, which share a process, were late themselves."""
        while not stop.is_set():
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.figures.own_lag[int(due - self._began)] += time.monotonic() - due > SLOW_S / 2

    async def _command(self, number: int) -> None:
        verb = "pause" if number % 2 else "resume"
        connection = Connection(self.plant.serve.port, self.plant.operator)
        began = time.monotonic()
        status, _ = await connection.ask("POST", f"/runs/{self.runs[COMMANDED]}/{verb}")
        self.figures.commands.append(time.monotonic() - began)
        self.figures.statuses[status] += 1
        connection.close()

    async def _halt(self, stop: asyncio.Event) -> None:
        """Halt, see when the last put came, free the section, begin again."""
        while not stop.is_set():
            await asyncio.sleep(HALT_EVERY_S)
            sent = time.time()
            await self._operator.ask("POST", f"/runs/{self.runs[HALTED]}/halt")
            await asyncio.sleep(3.0)
            self.figures.halts.append(max(0.0, self.plant.last_put(HALTED) - sent))
            await self._operator.ask("POST", f"/runs/{self.runs[HALTED]}/abort")
            self.runs[HALTED] = await asyncio.to_thread(self.plant.again, HALTED, self.runs[HALTED])


def stolen_s() -> float:
    """What a host beside this virtual one has taken from all its processors since it was started."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / os.sysconf("SC_CLK_TCK")


def row(name: str, values: list[float], unit: float = 1e3) -> str:
    """Median, 99 %, most."""
    found = (percentile(values, share) * unit for share in (0.5, 0.99, 1.0))
    return f"{name:45} n {len(values):6}  p50 {next(found):8.1f}  p99 {next(found):8.1f}  max {next(found):8.1f}"


def report(load: Load, memory: str) -> None:
    """Everything on standard output; ms and MB."""
    f = load.figures
    every = [seconds for values in f.reads.values() for seconds in values]
    print(row("reads, ms", every))
    for kind, values in sorted(f.reads.items()):
        print(row(f"  {kind}", values))
    print("reads above 0.1 s, by second of the load:", {second: n for second, n in sorted(f.slow.items()) if n})
    print("the clients themselves late by 0.05 s:", {second: n for second, n in sorted(f.own_lag.items()) if n})
    print(row("commands, ms", f.commands))
    print(row("halt asked to last put, ms", f.halts))
    print(slower(load.rounds["before"], load.rounds["meanwhile"]))
    print("statuses", dict(f.statuses), "clients that had not ended after 30 s:", f.late)
    ends = {seen.ids[-1] if seen.ids else None for seen in f.streams}
    ok = sum(seen.ids == list(range(seen.ids[0], seen.ids[-1] + 1)) for seen in f.streams if seen.ids)
    print(f"streams: {len(f.streams)} read, {ok} without gap or repetition, last events {sorted(map(str, ends))}")
    print(f"streams: drops {sum(s.drops for s in f.streams)}, MB {sum(s.bytes for s in f.streams) / 1e6:.1f}, "
          f"live {sum(s.live for s in f.streams)}, ticks {sum(s.ticks for s in f.streams)}")  # fmt: skip
    print(row("longest silence of a stream, ms", [s.longest_gap_s for s in f.streams]))
    print(f"longest silence while all connected at once: {f.connecting_s:.1f} s")
    print(memory)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    with plant(ACCOUNTS) as one:
        load = Load(one, seconds)
        for _ in range(ROUNDS):
            load.rounds["before"].one()
        first, spent, began, stolen = one.serve.memory_mb, one.serve.cpu_s, time.monotonic(), stolen_s()
        asyncio.run(load.run())
        took = time.monotonic() - began
        memory = (
            f"resident: {first:.0f} MB before, {one.serve.memory_mb:.0f} MB at the end of the load; "
            f"CPU of the service {100 * (one.serve.cpu_s - spent) / took:.0f} % of a core, "
            f"load of the host {os.getloadavg()[0]:.1f}, taken by other hosts beside it "
            f"{100 * (stolen_s() - stolen) / took / (os.cpu_count() or 1):.1f} %"
        )
        report(load, memory)
        print("the service has said:", one.serve.said()[-2000:] or "nothing")


if __name__ == "__main__":
    main()
