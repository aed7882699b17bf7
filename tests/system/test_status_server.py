"""The control process's own PVs over Channel Access: served in this process, where libca is a client as well."""

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import caproto
import pytest

from beamctl.engine.base import Outcome, Severity
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.errors import PortInUseError, ServingError
from beamctl.status.board import StatusBoard
from beamctl.status.ca import circuit
from beamctl.status.ca.ports import claim_port
from beamctl.status.pvs import TunedSection
from beamctl.status.server import FIRST_PORT, StatusServer
from beamctl.store.states import RunState

pytestmark = pytest.mark.system

LOOPBACK = "127.0.0.1"
PATIENCE_S = 60.0
SECTIONS = [TunedSection("cafe2-cm1", "orbit RMS", "mm"), TunedSection("lpi", "MFC1 current", "mA")]
READ_ELSEWHERE = """
import sys, time
from caproto.threading.client import Context
reason, state, halt = pvs = Context().get_pvs(*sys.argv[1:], timeout=60)
for pv in pvs:
    pv.wait_for_connection(timeout=60)
while state.read(data_type="time", timeout=60).metadata.severity != 2:
    time.sleep(0.02)
print(ascii(bytes(reason.read(timeout=60).data).decode()))
print(*(pv.name.rpartition(":")[2] for pv in pvs if pv.access_rights & 2))
"""


class Halts:
    """Takes the orders of the server."""

    def __init__(self):
        self.taken = []
        self.obey = lambda: None

    def __call__(self, is_halt, who):
        self.taken.append((is_halt, who))
        self.obey()


@pytest.fixture(scope="module")
def halts():
    return Halts()


@pytest.fixture(scope="module")
def board():
    return StatusBoard()


@pytest.fixture(scope="module")
def server(served_port, board, halts):
    prefix = f"T{secrets.token_hex(4)}:"
    one = StatusServer(board, SECTIONS, prefix, port=served_port, on_halt=halts)
    one.prefix = prefix
    one.start()
    yield one
    one.stop()


@pytest.fixture
def name(server):
    return lambda pv: server.prefix + pv


@pytest.fixture(autouse=True)
def clean(board, halts):
    yield
    halts.taken.clear()
    halts.obey = lambda: None
    board.service(ready=False, permit_to_act=False, halt=False, runs_active=0)


def test_what_is_on_the_board_arrives(board, name, client, watch):
    steps = watch(name("cafe2-cm1:Step"))
    step = steps.values[-1] + 1
    board.section("cafe2-cm1").update(
        state=RunState.HOLD, reason="BPM 3 frozen", run=7, step=step, max_steps=2 * step, objective=0.71, best=0.5,
        restore_owed=True, user="anna",
    )  # fmt: skip
    board.service(ready=True, permit_to_act=True, runs_active=1)
    steps.wait_for(lambda values: values[-1] == step)
    read = {pv: client.read(name(f"cafe2-cm1:{pv}")) for pv in ("State", "ReasonShort", "Run", "MaxSteps", "User")}
    assert read == {
        "State": ("hold", Severity.MINOR), "ReasonShort": ("BPM 3 frozen", Severity.NO_ALARM),
        "Run": (7, Severity.NO_ALARM), "MaxSteps": (2 * step, Severity.NO_ALARM), "User": ("anna", Severity.NO_ALARM),
    }  # fmt: skip
    assert client.read(name("cafe2-cm1:RestoreOwed")) == ("restore owed", Severity.MAJOR)
    assert client.read(name("cafe2-cm1:Objective")) == (0.71, Severity.NO_ALARM)
    assert client.read(name("cafe2-cm1:Progress"))[0] == 50.0
    assert client.read(name("lpi:State")) == ("idle", Severity.NO_ALARM)
    assert client.control(name("lpi:Best"))["units"] == "mA"
    assert client.control(name("cafe2-cm1:Progress"))["upper_disp_limit"] == 100.0
    watch(name("RunsActive")).wait_for(lambda values: values[-1] == 1)
    assert client.read(name("Ready"))[0] == "ready"
    assert client.read(name("PermitToAct"))[0] == "may act"


def test_states_change_severity(board, name, watch, client):
    states = watch(name("cafe2-cm1:State"))
    board.section("cafe2-cm1").update(state=RunState.CONFLICT)
    states.wait_for(lambda values: values[-1] == 9)
    assert client.read(name("cafe2-cm1:State")) == ("conflict", Severity.MAJOR)
    board.section("cafe2-cm1").update(state=RunState.RESTORED)
    states.wait_for(lambda values: values[-1] == 7)
    assert client.read(name("cafe2-cm1:State")) == ("restored", Severity.NO_ALARM)


def test_the_heartbeat_counts(name, watch):
    beats = watch(name("Heartbeat")).wait_for_more(3)
    assert beats == list(range(beats[0], beats[0] + 3))


def test_fields_say_what_the_records_are(name, client):
    assert client.read(name("cafe2-cm1:State.RTYP"))[0] == "mbbi"
    assert client.read(name("cafe2-cm1:State.NIST"))[0] == "conflict"
    assert client.read(name("cafe2-cm1:State.NISV"))[0] == "MAJOR"
    assert client.read(name("Halt.RTYP"))[0] == "bo"
    assert client.read(name("cafe2-cm1:Objective.EGU"))[0] == "mm"


def test_everything_but_halt_is_read_only(server, client):
    writable = {pv for pv in server.pvs if client.is_writable(pv)}
    assert writable == {server.prefix + "Halt"}


def test_a_halt_calls_back_and_stays(name, put, client, board, halts):
    put(name("Halt"), 1)
    assert client.read(name("Halt")) == ("halt", Severity.MAJOR)
    assert [is_halt for is_halt, _ in halts.taken] == [True]
    assert "@" in halts.taken[0][1]
    assert board.halt
    put(name("Halt"), 1)  # pressed again: told again
    assert [is_halt for is_halt, _ in halts.taken] == [True, True]
    put(name("Halt"), 0)
    assert client.read(name("Halt")) == ("go", Severity.NO_ALARM)
    assert [is_halt for is_halt, _ in halts.taken] == [True, True, False]
    assert not board.halt


def test_a_halt_that_is_not_obeyed_is_refused_and_shown_nevertheless(name, client, board, halts, caplog):
    def fail():
        raise RuntimeError("no run listens")

    halts.obey = fail
    assert client.is_put_refused(name("Halt"), 1)
    assert client.read(name("Halt")) == ("halt", Severity.MAJOR)
    assert board.halt
    assert "no run listens" in caplog.text


def test_a_halt_that_somebody_else_took_back_is_shown(name, board, put, watch):
    orders = watch(name("Halt"))
    put(name("Halt"), 1)
    board.service(halt=False)
    orders.wait_for(lambda values: values[-2:] == [1, 0])


def test_only_0_and_1_are_orders(name, client, halts):
    for value in (2, 7):
        client.is_put_refused(name("Halt"), value)
    assert client.read(name("Halt"))[0] == "go"
    assert not halts.taken


def test_the_engine_of_the_product_reads_and_halts_in_the_same_process(name, halts):
    """The values of one process go through its own libca, with its own environment untouched."""
    environment = dict(os.environ)
    engine = EpicsEngine(expected_hosts=[LOOPBACK])
    pvs = [name("Halt"), name("Heartbeat"), name("cafe2-cm1:ReasonShort")]
    engine.start(pvs, PATIENCE_S)
    try:
        assert engine.write({pvs[0]: 1.0}, PATIENCE_S)[pvs[0]].outcome is Outcome.OK
        assert engine.write({pvs[1]: 1.0}, PATIENCE_S)[pvs[1]].outcome is not Outcome.OK
        beats = engine.wait([pvs[1]], {pvs[1]: engine.latest([pvs[1]])[pvs[1]].seq}, 2, PATIENCE_S)[pvs[1]]
        assert beats[1].value == beats[0].value + 1
    finally:
        engine.close()
    assert [is_halt for is_halt, _ in halts.taken] == [True]
    assert dict(os.environ) == environment


def test_another_process_reads_long_texts_and_severities(board, name):
    reason = "\N{GREEK SMALL LETTER MU}" + "long " * 60
    board.section("lpi").update(reason=reason, state=RunState.FAULT)
    argv = [sys.executable, "-c", READ_ELSEWHERE, name("lpi:Reason"), name("lpi:State"), name("Halt")]
    read = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    assert read.splitlines() == [ascii(reason + "\0"), "Halt"]


def test_an_order_that_takes_its_time_holds_nobody_up(name, board, halts):
    """The control loop goes on writing to its board while the server's thread is stuck."""
    entered, gate = threading.Event(), threading.Event()

    def obey():
        entered.set()
        gate.wait(PATIENCE_S)

    halts.obey = obey
    engine = EpicsEngine()
    engine.start([name("Halt")], PATIENCE_S)
    try:
        with ThreadPoolExecutor(1) as pool:
            put = pool.submit(engine.write, {name("Halt"): 1.0}, PATIENCE_S)
            assert entered.wait(PATIENCE_S)
            for step in range(1000):
                board.section("cafe2-cm1").update(step=step)
            assert not gate.is_set()
            gate.set()
            assert put.result()[name("Halt")].outcome is Outcome.OK
    finally:
        gate.set()
        engine.close()


@pytest.fixture
def start():
    started = []

    def start(board=None, **options):
        one = StatusServer(board or StatusBoard(), SECTIONS, **options)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        one.stop()


def test_stop_frees_the_port_and_it_may_start_again(start):
    one = start()
    with socket.create_connection((LOOPBACK, one.port)) as connection:
        one.stop()
        assert not one.is_serving
        connection.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    claim_port(LOOPBACK, one.port).close()
    one.stop()
    one.start()
    assert one.is_serving
    with pytest.raises(ServingError, match=f"served already, at 127.0.0.1:{one.port}"):
        one.start()


def test_a_port_in_use_is_refused_with_its_number(start):
    one = start()
    with pytest.raises(PortInUseError, match=f"port {one.port} "):
        start(port=one.port)


def test_no_port_of_the_machine_is_taken(start, monkeypatch):
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"10.0.0.1 127.0.0.1:{FIRST_PORT} [::1]:{FIRST_PORT + 1}")
    monkeypatch.setenv("EPICS_CAS_SERVER_PORT", str(FIRST_PORT + 2))
    assert start().port > FIRST_PORT + 2


def test_a_server_that_cannot_come_up_says_why_and_where(monkeypatch):
    monkeypatch.setenv("EPICS_CAS_BEACON_PERIOD", "often")
    one = StatusServer(StatusBoard(), SECTIONS)
    with pytest.raises(ServingError, match=r"cannot be served at 127\.0\.0\.1:\d+: .*EPICS_CAS_BEACON_PERIOD"):
        one.start()
    assert not one.is_serving
    claim_port(LOOPBACK, one.port).close()


class FailingBoard(StatusBoard):
    fails = threading.Event()

    @property
    def is_alive(self):
        if self.fails.is_set():
            raise RuntimeError("planted")
        return True


def test_a_failure_is_visible_and_the_board_lives_on(start, caplog):
    board = FailingBoard()
    board.service(ready=True)
    one = start(board)
    ended = threading.Event()

    class Ear(logging.Handler):
        def emit(self, record):
            if "not served any more" in record.getMessage():
                ended.set()

    ear = Ear()
    logging.getLogger("beamctl.status.server").addHandler(ear)
    try:
        board.fails.set()
        assert ended.wait(PATIENCE_S)
    finally:
        logging.getLogger("beamctl.status.server").removeHandler(ear)
        board.fails.clear()
    one.stop()  # waits for the thread
    assert not one.is_serving
    assert board.ready
    board.section("cafe2-cm1").update(step=1)
    assert "planted" in caplog.text
    one.start()
    assert one.is_serving


def test_a_client_that_takes_nothing_is_let_go(start, monkeypatch):
    monkeypatch.setattr(circuit, "_STALLED_S", 0.1)
    one = start(prefix="S:")
    talk = caproto.VirtualCircuit(caproto.CLIENT, (LOOPBACK, one.port), 0)
    with socket.create_connection((LOOPBACK, one.port)) as connection:
        connection.settimeout(PATIENCE_S)

        def send(*commands):
            connection.sendall(b"".join(map(bytes, talk.send(*commands))))

        send(
            caproto.VersionRequest(priority=0, version=13), caproto.HostNameRequest("h"), caproto.ClientNameRequest("u")
        )
        channel = caproto.ClientChannel("S:lpi:Reason", talk)
        send(channel.create())
        while channel.states[caproto.CLIENT] is not caproto.CONNECTED:
            for command in talk.recv(connection.recv(4096))[0]:
                talk.process_command(command)
        requests = b"".join(
            bytes(part) for i in range(1000) for part in talk.send(channel.read(data_type=34, ioid=i + 1, data_count=1))
        )
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(requests * 1000)
    assert one.is_serving
