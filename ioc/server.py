"""Serves records over Channel Access until a signal comes, or fails as a whole."""

import asyncio
import functools
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

from caproto.asyncio.server import Context
from caproto.asyncio.utils import _DatagramProtocol, _UdpTransportWrapper

from ioc.circuit import PromptCircuit
from ioc.plant_clock import PlantClock
from ioc.ports import Claim
from ioc.records import Record


class ServerEndedError(RuntimeError):
    """The server or the machine's clock stopped without being told to."""


class ClaimedContext(Context):  # type: ignore[misc]  # caproto has no types
    """caproto's server on the sockets of a claim; caproto itself would share the port of another IOC."""

    CircuitClass = PromptCircuit

    def __init__(self, records: Mapping[str, Record], claim: Claim) -> None:
        super().__init__(dict(records), [claim.interface])
        self.ca_server_port = claim.port
        self._claim = claim

    async def _bind_tcp_sockets_with_consistent_port_number(self, _: Any) -> tuple[int, dict[str, socket.socket]]:
        return self._claim.port, {self._claim.interface: self._claim.tcp}

    async def _create_broadcaster_transport(self, interface: str) -> None:
        protocol = functools.partial(
            _DatagramProtocol, parent=self, identifier=interface, queue=self.broadcaster_datagram_queue
        )
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(protocol, sock=self._claim.udp)
        self.udp_socks[interface] = _UdpTransportWrapper(transport)


async def serve(clock: PlantClock, records: Mapping[str, Record], claim: Claim, announce: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        clock: moves the machine.
        records: by the names that clients use.
        claim: where.
        announce: called once, when the IOC answers and every PV has its first value.

    Raises:
        ServerEndedError: something stopped by itself; the cause is chained. The process must end.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def on_start(_: Any) -> None:
        announce()

    await clock.publish_held()
    await clock.publish_shot()
    context = ClaimedContext(records, claim)
    waiting = asyncio.create_task(stop.wait())
    working = [
        asyncio.create_task(context.run(startup_hook=on_start), name="server"),
        asyncio.create_task(clock.run(), name="clock"),
    ]
    done, _ = await asyncio.wait([waiting, *working], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *working):
        task.cancel()
    await asyncio.gather(waiting, *working, return_exceptions=True)
    for task in working:
        if task in done:
            cause = None if task.cancelled() else task.exception()
            raise ServerEndedError(f"the soft machine's {task.get_name()} stopped by itself") from cause


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """A filter for the log: beacons that nobody hears are normal on loopback."""
    return not str(record.msg).startswith("Failed to send beacon")
