"""``python -m tests.bench [NAME ...]``: all figures, or the named ones."""

import sys
import time

from tests.bench import (
    bench_channel_access,
    bench_console,
    bench_control,
    bench_environment,
    bench_fence,
    bench_learning,
    bench_loop,
    bench_lpi,
    bench_preflight,
    bench_service,
    bench_simulator,
    bench_store,
)

BENCHES = {
    "simulator": bench_simulator.main,
    "lpi": bench_lpi.main,
    "environment": bench_environment.main,
    "access": bench_channel_access.main,
    "loop": bench_loop.main,
    "store": bench_store.main,
    "fence": bench_fence.main,
    "control": bench_control.main,
    "console": bench_console.main,
    "service": bench_service.main,
    "agent": bench_learning.judge_agent,
    "preflight": bench_preflight.judge_preflight,
    "learning": bench_learning.train_seeds,
    "published": bench_learning.as_published,
}
ON_DEMAND = {"published"}
"""long ones, run only when named"""


def main() -> None:
    """Run them one after the other."""
    chosen = sys.argv[1:] or [name for name in BENCHES if name not in ON_DEMAND]
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(BENCHES)}")
    for name in chosen:
        print(f"\n== {name}", flush=True)
        start = time.process_time()
        BENCHES[name]()
        print(f"({time.process_time() - start:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main()
