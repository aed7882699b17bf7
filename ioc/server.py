"""Serves a soft machine over Channel Access until a signal comes, or fails as a whole."""

import asyncio
import signal
from collections.abc import Callable, Mapping

from beamctl.status.ca.ports import Claim
from beamctl.status.ca.records import Record
from beamctl.status.ca.serving import ClaimedContext, serve
from ioc.plant_clock import PlantClock


async def serve_machine(
    clock: PlantClock,
    records: Mapping[str, Record],
    claim: Claim,
    beacon: tuple[str, int],
    announce: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        clock: moves the machine.
        records: by the names that clients use.
        claim: where.
        beacon: address that is told of the new IOC.
        announce: called once, when the IOC answers and every PV has its first value.

    Raises:
        ServerEndedError: something stopped by itself; the cause is chained. The process must end.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await clock.publish_held()
    await clock.publish_shot()
    context = ClaimedContext(records, claim, [beacon])
    await serve(context, {"soft machine's clock": clock.run()}, stop, announce)
