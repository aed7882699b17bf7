"""A port of its own for each server, held from the moment it is found: two starting at once never share."""

import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from beamctl.errors import PortInUseError

FIRST_PORT = 5064
"""Channel Access's own"""
REPEATER_PORT = 5065
"""where clients wait for beacons"""
_PORTS_TRIED = 500


@dataclass(frozen=True)
class Claim:
    """A port that answers nobody else: TCP already listening, UDP bound without sharing."""

    interface: str
    port: int
    tcp: socket.socket
    udp: socket.socket

    def close(self) -> None:
        """Give the port back."""
        self.tcp.close()
        self.udp.close()


def claim_port(interface: str, port: int = 0, first: int = FIRST_PORT, avoid: Collection[int] = ()) -> Claim:
    """Take a port for TCP and UDP.

    Args:
        interface: address to bind to.
        port: which; 0 takes the first free one from ``first`` on.
        first: see there.
        avoid: ports that are left alone while looking for a free one.

    Raises:
        PortInUseError: it is in use, or the interface is not this host's.
    """
    if port:
        try:
            return _claim(interface, port)
        except OSError as error:
            raise PortInUseError(
                f"port {port} of {interface} cannot be had: {error.strerror}. "
                "Another IOC may be running there; give another --port, or 0 for the first free one"
            ) from error
    others = {REPEATER_PORT, *avoid}
    return _claim_first(interface, (p for p in range(first, first + _PORTS_TRIED) if p not in others))


def _claim_first(interface: str, ports: Iterable[int]) -> Claim:
    reason: OSError | None = None
    for port in ports:
        try:
            return _claim(interface, port)
        except OSError as error:
            reason = error
    raise PortInUseError(f"no free port at {interface}, last reason: {reason}") from reason


def _claim(interface: str, port: int) -> Claim:
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Answers of a few bytes must not wait for Nagle's algorithm; accepted connections inherit this.
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # After a restart the old connections linger; two listeners on one port stay impossible.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((interface, port))
        tcp.listen(128)
        udp.bind((interface, port))
    except OSError:
        tcp.close()
        udp.close()
        raise
    tcp.setblocking(False)
    udp.setblocking(False)
    return Claim(interface, port, tcp, udp)
