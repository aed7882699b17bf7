"""CPU time of one evaluation of the injector, LEBT and RFQ, and of the RFQ against its NumPy twin.

``python tests/bench/bench_lpi.py`` prints a table: one machine, one setting per call, 4 steps per cell, one
thread, median and least of many repeats. The bars are for 1000 particles.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from simulators import lebt, rfq, rfq_numpy
from simulators.lebt import Optics
from simulators.lpi import LpiSpec, Settings, draw, nominal, run
from simulators.rfq import StepTable, step_table
from simulators.rfq_design import design

COUNTS = (1000, 5000, 20_000)
REPEATS = 201
"""for 1000 particles, fewer for more"""
SEED = 1
MATCHED = Settings(0.18, 0.16)
BAR_MS, BAR_RATIO = 1.5, 30.0


class Cost(NamedTuple):
    """CPU milliseconds of one call: median, and the least, which a busy neighbour disturbs little."""

    median: float
    least: float


def cpu_ms(call: Callable[[], object], repeats: int) -> Cost:
    """Time ``call``; the first call, which may compile, does not count."""
    call()
    samples = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        samples.append(1e3 * (time.process_time() - start))
    return Cost(median(samples), min(samples))


def costs(table: StepTable, n: int) -> dict[str, Cost]:
    """By kind of work, for ``n`` particles at a matched setting."""
    machine = nominal(table, np.random.default_rng(SEED), n=n)
    mixed = draw(table, LpiSpec(), np.random.default_rng(SEED), n=n)
    geometry, optics = machine.geometry, Optics(MATCHED[:2])
    start = lebt.source_particles(machine.source, machine.normal, geometry.energy_ev)
    current_a = (1.0 - machine.neutralisation) * machine.source.current_a
    position = lebt.transport(geometry, optics, start, current_a).position
    repeats = max(15, REPEATS * 1000 // n)
    return {
        "LEBT": cpu_ms(lambda: lebt.transport(geometry, optics, start, current_a), repeats),
        "RFQ": cpu_ms(lambda: rfq.track(table, position, machine.phase), repeats),
        "both": cpu_ms(lambda: run(machine, MATCHED), repeats),
        "with H2+": cpu_ms(lambda: run(mixed, MATCHED), repeats),
        "NumPy": cpu_ms(lambda: rfq_numpy.track(table, position, machine.phase), 3),
    }


def main() -> None:
    """Print the table and the bars."""
    table = step_table(design())
    cost: dict[str, Cost] = {}
    for n in sorted(COUNTS, reverse=True):
        cost = costs(table, n)
        cells = "  ".join(f"{name} {ms.median:.3f} ({ms.least:.3f})" for name, ms in cost.items())
        print(f"{n:>6} particles, CPU ms, median (least):  {cells}", flush=True)
    both, ratio = cost["both"].median, cost["NumPy"].median / cost["RFQ"].median
    for text, is_reached in (
        (f"LEBT and RFQ {both:.2f} ms, bar {BAR_MS} ms", both <= BAR_MS),
        (f"RFQ {ratio:.0f} times as fast as NumPy, bar {BAR_RATIO:.0f}", ratio >= BAR_RATIO),
    ):
        print(f"{min(COUNTS)} particles: {text}: {'reached' if is_reached else 'MISSED'}")


if __name__ == "__main__":
    main()
