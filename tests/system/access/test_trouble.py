"""What goes wrong inside, and clients that take their time."""

import contextlib
import logging
import socket
import sqlite3
import time

import pytest

from beamctl.api import protocol
from beamctl.store import database
from beamctl.store.states import Role

pytestmark = pytest.mark.system
PATIENCE_S = 30.0
GOOD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_fault_of_ours_is_in_the_log_and_not_in_the_answer(house, monkeypatch, caplog):
    client = house.client(house.session("viewer"))
    monkeypatch.setattr(house.service, "machines", object())
    with caplog.at_level(logging.ERROR, "beamctl.api"):
        answer = client.get("/api/v1/machine/tasks")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "object" not in answer.json()["detail"]
    assert "AttributeError" in caplog.text
    assert "GET '/api/v1/machine/tasks'" in caplog.text


def test_a_store_that_somebody_else_keeps_is_no_fault_of_the_request(fresh, monkeypatch):
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.1)
    fresh.add("ada", Role.OPERATOR)
    client = fresh.client(fresh.session("ada"))
    fresh.store.database.close()  # what is open already would wait longer
    with sqlite3.connect(fresh.store.database.file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = client.post("/api/v1/keys", json={"label": "a", "scope": "viewer"})
        assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
        assert client.get("/api/v1/keys").status_code == 200
        other.execute("ROLLBACK")
    other.close()
    assert client.post("/api/v1/keys", json={"label": "a", "scope": "viewer"}).status_code == 201


def closed_after(house, *parts: bytes) -> float:
    """How long the service bears with a connection, s."""
    with socket.create_connection(("127.0.0.1", house.port), PATIENCE_S) as connection:
        began = time.monotonic()
        for part in parts:
            connection.sendall(part)
        while connection.recv(65536):
            pass
        return time.monotonic() - began


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"GET /healthz HTT",),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"),
        (GOOD + b"GET /hea",),
        (GOOD, b"GET /hea"),
    ],
)
def test_connections_that_ask_for_nothing_are_closed(house, monkeypatch, parts):
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    assert 0.1 < closed_after(house, *parts) < PATIENCE_S / 2


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_that_is_too_long_is_refused(house, end):
    with socket.create_connection(("127.0.0.1", house.port), PATIENCE_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with contextlib.suppress(OSError):  # closed before all is sent
            for _ in range(40):
                connection.sendall(10_000 * b"a")
            connection.sendall(end)
        answer = connection.makefile("rb").readline()
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_whoever_asks_is_served_for_longer(house, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    client = house.client(house.session("viewer"))
    with client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        ticks = 0
        while ticks < 2:  # one a second
            ticks += "event: tick" in next(lines)
    assert client.get("/healthz").status_code == 200
