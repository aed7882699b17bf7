"""Control cycles per second over Channel Access: beamctl's soft IOC, and a stock caproto IOC with the same client.

A cycle is what one tuning step costs on the wire: 10 puts with completion (changes too small to ramp), read back, and
20 fresh reads. Loopback only.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from beamctl.engine.base import Outcome
from beamctl.machine.loader import load_machine

LOOPBACK = "127.0.0.1"
REPEATS, DURATION_S = 5, 2.0
BAR = 80.0


def pvs() -> tuple[list[str], list[str]]:
    """Ten setpoints and twenty readings of CM1."""
    section = load_machine("cafe2").sections["cm1"]
    readings = [pv for bpm in section.bpms for pv in (bpm.x, bpm.y)]
    return [c.setpoint for c in section.correctors], readings + [c.readback for c in section.correctors]


async def serve_stock() -> None:
    """A caproto IOC as it comes: 10 setpoints, and 20 positions published at 10 Hz."""
    import caproto
    from caproto.asyncio import server

    setpoints, readings = pvs()
    channels = {pv: caproto.ChannelDouble(value=0.0) for pv in setpoints + readings}

    async def publish(_: object) -> None:
        print("READY", flush=True)
        while True:
            await asyncio.sleep(0.1)
            for pv in readings:
                await channels[pv].write(channels[pv].value + 1.0)

    await server.Context(channels).run(startup_hook=publish)


@contextmanager
def ioc(argv: Sequence[str], port: int) -> Iterator[None]:
    """An IOC in a process of its own."""
    env = {**os.environ, "EPICS_CAS_SERVER_PORT": str(port), "EPICS_CA_SERVER_PORT": str(port)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("READY"):
                    break
            yield
        finally:
            process.kill()


def cycles_per_second() -> list[float]:
    """Rates of several periods; every cycle must succeed completely."""
    from beamctl.engine.epics.engine import EpicsEngine

    setpoints, readings = pvs()
    engine = EpicsEngine()
    engine.start(setpoints + readings)
    start = {pv: reading.number for pv, reading in engine.read(setpoints).items()}
    rates = []
    try:
        for _ in range(REPEATS):
            count, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < DURATION_S:
                results = engine.write({pv: value + 1e-3 * (count % 2) for pv, value in start.items()})
                assert all(result.outcome is Outcome.OK for result in results.values()), results
                engine.read(readings)
                count += 1
            rates.append(count / (time.perf_counter() - begin))
    finally:
        engine.close()
    return rates


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in sockets:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()


def measure(kind: str) -> None:
    """Start one IOC, print the median rate; in a process of its own, because libca reads its environment once."""
    port, repeater = free_ports(2)
    for name in [name for name in os.environ if name.startswith("EPICS_")]:
        del os.environ[name]
    os.environ.update(
        EPICS_CA_ADDR_LIST=LOOPBACK,
        EPICS_CA_SERVER_PORT=str(port),
        EPICS_CA_AUTO_ADDR_LIST="NO",
        EPICS_CA_REPEATER_PORT=str(repeater),
        EPICS_CAS_INTF_ADDR_LIST=LOOPBACK,
        EPICS_CAS_BEACON_PORT=str(repeater),
        EPICS_CAS_BEACON_ADDR_LIST=LOOPBACK,
        EPICS_CAS_AUTO_BEACON_ADDR_LIST="NO",
    )
    stock = [sys.executable, "-m", "tests.bench.bench_channel_access", "serve"]
    own = [sys.executable, "-m", "ioc", "--seed", "1", "--port", str(port), "--die-with-parent"]
    with ioc(stock if kind == "stock" else own, port):
        print(median(cycles_per_second()))


def main() -> None:
    """Print both rates and their ratio."""
    rates = {}
    for kind in ("stock", "beamctl"):
        argv = [sys.executable, "-m", "tests.bench.bench_channel_access", kind]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        rates[kind] = float(done.stdout.split()[-1])
    print(f"soft IOC of beamctl   {rates['beamctl']:7.1f} cycles/s   (bar {BAR:.0f})")
    print(f"stock caproto IOC     {rates['stock']:7.1f} cycles/s")
    print(f"ratio                 {rates['beamctl'] / rates['stock']:7.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve_stock())
    elif sys.argv[1:]:
        measure(sys.argv[1])
    else:
        main()
