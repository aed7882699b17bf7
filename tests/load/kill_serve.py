"""The service killed again and again in mid-run: clients come back, nothing is lost, the run does not notice.

python -m tests.load.kill_serve [TIMES]
"""

import asyncio
import random
import sys
import threading
import time
from collections import Counter

from beamctl.store.check import check_store
from tests.load.clients import Seen, listen
from tests.load.load import ROUNDS, row
from tests.load.plant import Plant, percentile, plant
from tests.load.rounds import Rounds, slower

CLIENTS = 20
LONGEST_S = 4.0
"""between a start and the next kill"""
TASK = "cm1-orbit"


async def campaign(one: Plant, times: int, seen: list[Seen], starts: list[float], backs: list[float]) -> None:
    """Kill so many times while all listen."""
    stop, first = asyncio.Event(), one.control.store.events.end().seq
    clients = [asyncio.create_task(listen(one.serve.port, one.keys[0], "", s, stop, first)) for s in seen]
    for _ in range(times):
        await asyncio.sleep(random.uniform(0.2, LONGEST_S))
        await asyncio.to_thread(one.serve.kill)
        killed = time.monotonic()
        ticks = [s.ticks for s in seen]
        starts.append(await asyncio.to_thread(one.serve.start))
        while any(s.ticks == before for s, before in zip(seen, ticks, strict=True)):
            await asyncio.sleep(0.02)
        backs.append(time.monotonic() - killed)
    end = one.control.store.events.end().seq
    while any(not s.ids or s.ids[-1] < end for s in seen):
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*clients)


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seen, starts, backs = [Seen() for _ in range(CLIENTS)], [], []
    with plant(1) as one:
        before, meanwhile = Rounds(one.control, TASK), Rounds(one.control, TASK)
        for _ in range(ROUNDS):
            before.one()
        begin, stop = one.control.store.events.end().seq, threading.Event()
        work = threading.Thread(target=meanwhile.go_on, args=(stop,))
        work.start()
        asyncio.run(campaign(one, times, seen, starts, backs))
        stop.set()
        work.join()
        states = Counter(f"{run.state.value} {run.outcome}".strip() for run in one.control.store.runs.list())
        whole = sum(s.ids == list(range(begin + 1, s.ids[-1] + 1)) for s in seen)
        print(f"{times} kills: {whole} of {CLIENTS} clients have every event once, {seen[0].ids[-1] - begin} events")
        print(f"runs: {dict(states)}; chain {_chain(one)}")
        print(slower(before, meanwhile))
        print(row("start to ready, ms", starts))
        print(row("kill to tick at every client, ms", backs))
        print(f"worst back after {percentile(backs, 1.0):.1f} s")


def _chain(one: Plant) -> str:
    report = check_store(one.control.store)
    return "; ".join(report.faults) or f"whole, {report.chain.count} events"


if __name__ == "__main__":
    main()
