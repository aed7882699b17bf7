"""Serves a status board over Channel Access, in a thread of its own: see :class:`StatusServer`."""

import asyncio
import contextlib
import importlib.metadata
import ipaddress
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Final

from caproto import get_beacon_address_list, get_environment_variables

from beamctl.errors import ServingError
from beamctl.status.board import StatusBoard
from beamctl.status.ca.ports import Claim, claim_port
from beamctl.status.ca.serving import ClaimedContext, serve
from beamctl.status.publisher import Publisher
from beamctl.status.pvs import HALT, HEARTBEAT, TunedSection, status_pvs

FIRST_PORT: Final = 5074
"""where the search for a free port begins; IOCs take theirs from 5064 on"""

_log = logging.getLogger(__name__)


class StatusServer:
    """The control process's state as PVs, for panels, alarm servers and archivers.

    Channel Access has no identities: whoever reaches the interface may halt, and may take a halt back. Every put to
    ``Halt`` is logged with what the client says of itself.

    Args:
        board: what is shown; its ``halt`` follows the puts.
        sections: those with PVs of their own.
        prefix: put in front of every PV.
        interface: address to serve at. To be found by broadcast, a server must serve at ``0.0.0.0``.
        port: which; 0 takes the first free one from 5074 on that ``EPICS_CA_*`` and ``EPICS_CAS_*`` do not name.
        on_halt: called with True (halt) or False (taken back) and with who says so, for each put. It runs in the
            server's thread and must return at once. If it raises, the client is told that its put failed; what was
            to be halted is shown as halted nevertheless.
    """

    def __init__(
        self,
        board: StatusBoard,
        sections: Sequence[TunedSection],
        prefix: str = "BEAMCTL:",
        interface: str = "127.0.0.1",
        port: int = 0,
        on_halt: Callable[[bool, str], None] = lambda _halt, _who: None,
    ) -> None:
        self._board = board
        self._pvs = status_pvs(sections, prefix, _version())
        self._prefix = prefix
        self._interface = interface
        self._wanted_port = port
        self._on_halt = on_halt
        self._thread: threading.Thread | None = None
        self._end: Callable[[], None] = lambda: None
        self._port = 0
        self._is_up = False

    @property
    def pvs(self) -> list[str]:
        """The names of all PVs."""
        return [pv.definition.name for pv in self._pvs]

    @property
    def port(self) -> int:
        """Where it serves, or did last; 0 before the first start."""
        return self._port

    @property
    def is_serving(self) -> bool:
        """Whether it answers: not before the start, not after the end, not after a failure, which is in the log."""
        return self._is_up

    def start(self, timeout_s: float = 10.0) -> None:
        """Serve; returns when the server answers and every PV has its value. May follow :meth:`stop` or a failure.

        Raises:
            PortInUseError: no port, or the interface is not this host's.
            ServingError: it runs already, or did not come up; nothing of it is left running.
        """
        if self._thread is not None and self._thread.is_alive():
            raise ServingError(f"the status PVs are served already, at {self._interface}:{self._port}")
        claim = claim_port(self._interface, self._wanted_port, FIRST_PORT, _ports_of_others())
        self._port = claim.port
        up: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(claim, up), name="status PVs", daemon=True)
        self._thread.start()
        try:
            up.result(timeout_s)
        except Exception as error:
            up.cancel()
            self.stop()
            reason = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise ServingError(
                f"the status PVs cannot be served at {claim.interface}:{claim.port}: {reason}"
            ) from error

    def stop(self, timeout_s: float = 5.0) -> None:
        """End it and give the port back; harmless where nothing runs."""
        self._end()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                _log.error("the server of the status PVs did not end within %g s", timeout_s)

    def _run(self, claim: Claim, up: "Future[None]") -> None:
        try:
            asyncio.run(self._serve(claim, up))
        except Exception as error:
            if up.done():
                _log.exception("the status PVs at %s:%d are not served any more", claim.interface, claim.port)
            else:
                up.set_exception(error)
        finally:
            self._is_up = False
            claim.close()

    async def _serve(self, claim: Claim, up: "Future[None]") -> None:
        end, news = asyncio.Event(), asyncio.Event()
        self._end = _from_any_thread(end)
        if up.cancelled():
            return
        publisher = Publisher(self._board, self._pvs, self._prefix + HEARTBEAT)

        async def take_halt(value: float, who: str) -> None:
            try:
                self._take_halt(value, who)
            finally:
                await publisher.publish()  # who reads after the put reads what was put

        def announce() -> None:
            self._is_up = True
            with contextlib.suppress(InvalidStateError):
                up.set_result(None)

        publisher.records[self._prefix + HALT].on_put = take_halt
        forget = self._board.listen(_from_any_thread(news))
        try:
            await publisher.publish()
            context = ClaimedContext(publisher.records, claim, _beacons(claim.interface))
            workers = {"publisher": publisher.follow(news), "heartbeat": publisher.beat()}
            await serve(context, workers, end, announce)
        finally:
            forget()

    def _take_halt(self, value: float, who: str) -> None:
        name = self._prefix + HALT
        if value not in (0.0, 1.0):
            raise ValueError(f"{name} takes 0 or 1, not {value:g}")
        is_halt = value == 1.0
        _log.warning("%s set to %d by %s", name, is_halt, who)
        if is_halt:
            self._board.service(halt=True)
        try:
            self._on_halt(is_halt, who)
        except Exception as error:
            _log.exception("%s was not obeyed", name)
            raise ValueError(f"{name} was not obeyed: {error}") from error
        self._board.service(halt=is_halt)


def _from_any_thread(event: asyncio.Event) -> Callable[[], None]:
    """Set an event of the running loop from elsewhere; never waits, and does nothing once the loop has ended."""
    loop = asyncio.get_running_loop()

    def set_event() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    return set_event


def _ports_of_others() -> set[int]:
    """Ports that the environment of Channel Access names: of the machine's IOCs, which may be down at this moment."""
    texts = (text for name, text in os.environ.items() if name.startswith(("EPICS_CA_", "EPICS_CAS_")))
    ends = (word.rpartition(":")[2] for text in texts for word in text.split())
    return {int(end) for end in ends if end.isdecimal()}


def _beacons(interface: str) -> list[tuple[str, int]]:
    """Who is told that there is a new server: nobody else where nobody else can reach it."""
    if ipaddress.ip_address(interface).is_loopback:
        return [(interface, get_environment_variables()["EPICS_CAS_BEACON_PORT"])]
    return list(get_beacon_address_list())


def _version() -> str:
    try:
        return importlib.metadata.version("beamctl")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
