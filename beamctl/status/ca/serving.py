"""Serves records over Channel Access until told to stop, or fails as a whole."""

import asyncio
import contextlib
import functools
import itertools
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from caproto import DEFAULT_PROTOCOL_VERSION, Beacon
from caproto.asyncio.server import AsyncioAsyncLayer, Context
from caproto.asyncio.utils import _DatagramProtocol, _TransportWrapper, _UdpTransportWrapper

from beamctl.status.ca.circuit import PromptCircuit
from beamctl.status.ca.ports import Claim
from beamctl.status.ca.records import Record

_FIRST_BEACON_S = 0.02
_BEACON_S = 15.0


class ServerEndedError(RuntimeError):
    """The server, or what feeds it, stopped without being told to."""


class ClaimedContext(Context):  # type: ignore[misc]  # caproto has no types
    """caproto's server on the sockets of a claim; caproto itself would share the port of another IOC.

    Must be made in the event loop that it runs in.

    Args:
        records: by the names that clients use.
        claim: where; closed when the server ends.
        beacons: addresses that are told of a new server; caproto itself tells everybody, whatever the interface.
    """

    CircuitClass = PromptCircuit

    def __init__(self, records: Mapping[str, Record], claim: Claim, beacons: Sequence[tuple[str, int]]) -> None:
        super().__init__(dict(records), [claim.interface])
        self.async_layer = AsyncioAsyncLayer()
        self.port = self.ca_server_port = claim.port
        self._claim = claim
        self._beacons = beacons

    async def run(self, announce: Callable[[], None]) -> NoReturn:
        """Serve until cancelled; ``announce`` is called once, when the server answers."""
        self.broadcaster.server_addresses.append((self._claim.interface, self.port))
        try:
            await self._create_broadcaster_transport(self._claim.interface)
            await asyncio.start_server(self._accept, sock=self._claim.tcp)
            announce()
            await asyncio.gather(
                self.broadcaster_receive_loop(),
                self.broadcaster_queue_loop(),
                self.subscription_queue_loop(),
                self.broadcast_beacon_loop(),
            )
        finally:
            await self._close()
        raise ServerEndedError("the server has nothing left to do")

    async def broadcast_beacon_loop(self) -> NoReturn:
        """Tell clients that there is a new server, at growing intervals as the protocol asks."""
        period = _FIRST_BEACON_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.setblocking(False)
            for count in itertools.count():
                beacon = Beacon(DEFAULT_PROTOCOL_VERSION, self.port, count, self._claim.interface)
                data = self.broadcaster.send(beacon)
                for address in self._beacons:
                    with contextlib.suppress(OSError):  # nobody needs to hear it
                        sender.sendto(data, address)
                await asyncio.sleep(period)
                period = min(2 * period, _BEACON_S)
        raise ServerEndedError

    async def _create_broadcaster_transport(self, interface: str) -> None:
        protocol = functools.partial(
            _DatagramProtocol, parent=self, identifier=interface, queue=self.broadcaster_datagram_queue
        )
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(protocol, sock=self._claim.udp)
        self.udp_socks[interface] = _UdpTransportWrapper(transport)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _TransportWrapper(reader, writer)
        self.server_tasks.create(self.tcp_handler(client, client.getpeername()))

    async def _close(self) -> None:
        await self.server_tasks.cancel_all()
        for circuit in tuple(self.circuits):
            await circuit.tasks.cancel_all()
            circuit.client.close()
        for transport in self.udp_socks.values():
            transport.close()
        self._claim.close()
        await asyncio.sleep(0)  # transports close their sockets in the next pass of the loop


async def serve(
    context: ClaimedContext,
    workers: Mapping[str, Coroutine[Any, Any, Any]],
    stop: asyncio.Event,
    announce: Callable[[], None],
) -> None:
    """Serve until ``stop`` is set.

    Args:
        context: what and where.
        workers: what else has to run all the time, by names for messages.
        stop: ends it.
        announce: called once, when the server answers.

    Raises:
        ServerEndedError: something stopped by itself; the cause is chained.
    """
    waiting = asyncio.create_task(stop.wait())
    working = [
        asyncio.create_task(context.run(announce), name="server"),
        *(asyncio.create_task(work, name=name) for name, work in workers.items()),
    ]
    done, _ = await asyncio.wait([waiting, *working], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *working):
        task.cancel()
    await asyncio.gather(waiting, *working, return_exceptions=True)
    for task in working:
        if task in done:
            cause = None if task.cancelled() else task.exception()
            raise ServerEndedError(f"the {task.get_name()} stopped by itself") from cause
