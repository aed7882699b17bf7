"""Ports on loopback: nobody shares one."""

import socket

import pytest

from beamctl.errors import PortInUseError
from beamctl.status.ca.ports import REPEATER_PORT, claim_port

LOOPBACK = "127.0.0.1"


@pytest.fixture
def claim():
    held = []

    def claim(port=0):
        held.append(claim_port(LOOPBACK, port))
        return held[-1]

    yield claim
    for one in held:
        one.close()


def test_each_claim_has_a_port_of_its_own(claim):
    ports = [claim().port for _ in range(4)]
    assert len(set(ports)) == 4
    assert REPEATER_PORT not in ports


def test_a_claimed_port_is_refused_with_its_number(claim):
    port = claim().port
    with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 .* --port"):
        claim(port)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_half_a_port_is_not_enough(claim, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((LOOPBACK, 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(PortInUseError):
            claim(other.getsockname()[1])


def test_an_ioc_that_would_share_its_searches_is_not_joined(claim):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("0.0.0.0", 0))
        with pytest.raises(PortInUseError):
            claim(other.getsockname()[1])


def test_a_foreign_interface_is_named():
    with pytest.raises(PortInUseError, match=r"192\.0\.2\.1"):
        claim_port("192.0.2.1")


def test_accepted_connections_answer_without_delay(claim):
    server = claim().tcp
    server.setblocking(True)
    with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_to_avoid_is_left_alone(claim):
    first = claim().port + 1
    assert claim_free(first, {first, first + 1}) not in (first, first + 1)


def claim_free(first, avoid):
    one = claim_port(LOOPBACK, 0, first, avoid)
    one.close()
    return one.port
