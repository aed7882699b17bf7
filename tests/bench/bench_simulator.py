"""New machines and machine-steps per second of the cryomodule model, numba against NumPy, in CPU time.

``python tests/bench/bench_simulator.py`` prints a table: 5 cells, 5 BPMs, 10 correctors, envelope included, one
thread. Each figure is the median of several repeats; the bars are for a batch of 1024.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from beamctl.engine.simulated.lattice import section_lattice, section_optics
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.machine.loader import load_ion, load_machine
from simulators import kernels, linac
from simulators.errors_model import apply_errors, draw
from simulators.lattice import Lattice
from simulators.linac import Machines

BATCHES = (1, 64, 1024, 4096)
REPEATS = 7
REPEAT_S = 0.15
SEED = 1
BAR_BATCH, BAR_NEW, BAR_STEP = 1024, 80e3, 20e6


def cm1(n: int) -> tuple[Lattice, Machines]:
    """``n`` machines of cryomodule 1 with 5 % errors."""
    machine = load_machine("cafe2")
    ion = load_ion(machine.ion)
    lattice, optics = section_lattice(machine, "cm1"), section_optics(machine, ion, ion, "cm1")
    errors = draw(lattice, optics.n_cell, find_scenario(machine, "err5"), np.random.default_rng(SEED), n)
    return lattice, apply_errors(lattice, optics.take(np.zeros(n, dtype=np.int64)), errors)


def cpu_s(call: Callable[[], object]) -> float:
    """Median CPU seconds of one call; the first call, which may compile, does not count."""
    call()
    start = time.process_time()
    call()
    count = max(1, int(REPEAT_S / max(time.process_time() - start, 1e-6)))
    samples = []
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(count):
            call()
        samples.append((time.process_time() - start) / count)
    return median(samples)


def rates(n: int) -> dict[str, float]:
    """Machines per second by kind of work."""
    lattice, machines = cm1(n)
    orbits = kernels.build(lattice, machines)
    current_a = np.random.default_rng(SEED).uniform(-74.0, 74.0, (n, lattice.n_corrector))
    out = np.empty(orbits.bare_m.shape)
    work = {
        "new numba": lambda: kernels.build(lattice, machines),
        "new numpy": lambda: linac.build(lattice, machines),
        "step numba": lambda: kernels.step(orbits, current_a, out=out),
        "step numpy": lambda: linac.step(orbits, current_a),
    }
    return {name: n / cpu_s(call) for name, call in work.items()}


def main() -> None:
    """Print the table and the bars."""
    print(f"{'':>6}  {'new machines / s':^28}  {'machine-steps / s':^28}")
    print(f"{'batch':>6}  {'numba':>10} {'NumPy':>10} {'ratio':>6}  {'numba':>10} {'NumPy':>10} {'ratio':>6}")
    at_bar: dict[str, float] = {}
    for n in BATCHES:
        rate = rates(n)
        cells = []
        for kind in ("new", "step"):
            numba, numpy = rate[f"{kind} numba"], rate[f"{kind} numpy"]
            cells.append(f"{numba:>10.3g} {numpy:>10.3g} {numba / numpy:>6.1f}")
        print(f"{n:>6}  {'  '.join(cells)}", flush=True)
        if n == BAR_BATCH:
            at_bar = rate
    for kind, bar in (("new numba", BAR_NEW), ("step numba", BAR_STEP)):
        verdict = "reached" if at_bar[kind] >= bar else "MISSED"
        print(f"batch {BAR_BATCH}, {kind}: {at_bar[kind]:.3g}/s, bar {bar:.3g}/s: {verdict}")


if __name__ == "__main__":
    main()
