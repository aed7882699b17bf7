"""Control cycles per second over Channel Access, against a stock caproto IOC and against a tuned one.

A cycle is what one tuning step costs on the wire: 10 puts with completion, read back, and 20 fresh reads.
``python tests/bench/bench_channel_access.py`` prints both rates and their ratio; loopback only.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SETPOINTS = [f"bench:SET{index}" for index in range(10)]
READBACKS = [f"bench:POS{index}" for index in range(20)]
LOOPBACK = "127.0.0.1"
DURATION_S = 5.0
TUNED = {"CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC": "0.001"}


def tuned_context() -> type:
    """A caproto context whose answers leave at once and together.

    Nagle's algorithm holds small answers back for up to 40 ms; one system call per answer, and per read a
    task to wait for an event that is set already, cost a third of the IOC's processor time.
    """
    from caproto.asyncio import server

    class PromptEvent(server.AsyncioEvent):
        async def wait(self, timeout=None):
            return self.is_set() or await super().wait(timeout)

    class PromptCircuit(server.VirtualCircuit):
        def __init__(self, circuit, client, context):
            super().__init__(circuit, client, context)
            client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.write_event = PromptEvent()
            self._outbox = []

        async def _send_buffers(self, *buffers):
            await self.client.writer.drain()
            if not self._outbox:
                asyncio.get_running_loop().call_soon(self._post)
            self._outbox += buffers

        def _post(self):
            if not self.client.writer.is_closing():
                self.client.writer.write(b"".join(self._outbox))
            self._outbox.clear()

    class PromptContext(server.Context):
        CircuitClass = PromptCircuit

    return PromptContext


async def serve(is_tuned: bool) -> None:
    """Be the IOC: 10 setpoints, and 20 positions published at 10 Hz."""
    import caproto
    from caproto.asyncio import server

    channels = {pv: caproto.ChannelDouble(value=0.0) for pv in SETPOINTS + READBACKS}

    async def publish(_: object) -> None:
        print("ready", flush=True)
        while True:
            await asyncio.sleep(0.1)
            for pv in READBACKS:
                await channels[pv].write(channels[pv].value + 1.0)

    context = (tuned_context() if is_tuned else server.Context)(channels)
    await context.run(startup_hook=publish)


@contextmanager
def ioc(kind: str, port: int) -> Iterator[None]:
    """An IOC in a process of its own."""
    env = {**os.environ, "EPICS_CAS_SERVER_PORT": str(port), "EPICS_CA_SERVER_PORT": str(port)}
    env |= TUNED if kind == "tuned" else {}
    argv = [sys.executable, __file__, kind]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def cycles_per_second() -> float:
    """Run cycles for ``DURATION_S``; each must succeed completely."""
    from beamctl.engine.base import Outcome
    from beamctl.engine.epics.engine import EpicsEngine

    engine = EpicsEngine()
    engine.start(SETPOINTS + READBACKS)
    try:
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < DURATION_S:
            results = engine.write(dict.fromkeys(SETPOINTS, 1e-3 * count))
            assert all(result.outcome is Outcome.OK for result in results.values()), results
            engine.read(READBACKS)
            count += 1
        return count / (time.perf_counter() - begin)
    finally:
        engine.close()


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


def main() -> None:
    """Print the rates."""
    stock, tuned, repeater = free_ports(3)
    for name in [name for name in os.environ if name.startswith("EPICS_")]:
        del os.environ[name]
    os.environ.update(
        EPICS_CA_ADDR_LIST=f"{LOOPBACK}:{stock} {LOOPBACK}:{tuned}",
        EPICS_CA_AUTO_ADDR_LIST="NO",
        EPICS_CA_REPEATER_PORT=str(repeater),
        EPICS_CAS_INTF_ADDR_LIST=LOOPBACK,
        EPICS_CAS_BEACON_PORT=str(repeater),
        EPICS_CAS_BEACON_ADDR_LIST=LOOPBACK,
        EPICS_CAS_AUTO_BEACON_ADDR_LIST="NO",
    )
    rates = {}
    for kind, port in (("stock", stock), ("tuned", tuned)):
        with ioc(kind, port):
            rates[kind] = cycles_per_second()
        print(f"{kind} caproto IOC: {rates[kind]:6.1f} cycles/s")
    print(f"ratio: {rates['tuned'] / rates['stock']:.1f}")


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(serve(is_tuned=sys.argv[1] == "tuned"))
    else:
        main()
