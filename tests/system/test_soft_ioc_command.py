"""``python -m ioc`` as a process: what it says, where it listens, how it ends."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.engine.simulated.injector_scenarios import injector_scenarios
from beamctl.engine.simulated.scenarios import scenarios
from beamctl.errors import ChannelConnectionError
from beamctl.machine.loader import load_injector, load_machine

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
MACHINE = load_machine("cafe2")
SETPOINT, HEARTBEAT = "HCM1_PS:DCH_01:ISet", MACHINE.heartbeat.pv
COMMAND = [sys.executable, "-m", "ioc", "--die-with-parent"]
PATIENCE_S = 60.0

FAILING_IOC = """
import sys
from beamctl.engine.simulated.linac_plant import LinacPlant
from ioc.__main__ import app
sound, shots = LinacPlant.shot, iter(range(3))
def shot(self):
    next(shots)
    return sound(self)
LinacPlant.shot = shot
app(["--die-with-parent", "--port", "0"])
"""
PARENT = """
import subprocess, sys, time
ioc = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
for line in ioc.stdout:
    print(line, end="", flush=True)
"""
LOADED = """
import sys
import ioc.__main__, ioc.server, ioc.plant_clock, ioc.records
from beamctl.engine.simulated.factory import make_plant
from beamctl.machine.loader import load_machine
make_plant([load_machine("cafe2")], None, ["err5"], 1).shot()
print(" ".join(sys.modules))
"""


def run(*argv, command=COMMAND):
    return subprocess.run([*command, *argv], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.fixture
def start():
    started = []

    def start(*argv, command=COMMAND):
        process = subprocess.Popen(
            [*command, *argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ready(process):
    """What the READY line says, and the lines before it."""
    lines = []
    for line in process.stdout:
        if line.startswith("READY "):
            return json.loads(line.removeprefix("READY ")), "".join(lines)
        lines.append(line)
    raise AssertionError(f"it ended: {process.stderr.read()}")


def test_it_says_how_to_reach_it(start):
    says, text = ready(start("--port", "0", "--scenario", "dead", "--seed", "7"))
    assert set(says) == {"port", "repeater_port", "seed", "scenario", "pvs"}
    assert (says["scenario"], says["seed"]) == ("dead", 7)
    settings = f"EPICS_CA_ADDR_LIST=127.0.0.1 EPICS_CA_AUTO_ADDR_LIST=NO EPICS_CA_SERVER_PORT={says['port']}"
    assert f"export {settings}\n" in text
    assert "WARNING" not in text


def test_without_a_seed_each_start_is_another_machine(start):
    seeds = [ready(start("--port", "0"))[0]["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1]


def test_two_that_start_together_have_two_ports(start):
    both = [start("--port", "0"), start("--port", "0")]
    ports = [ready(process)[0]["port"] for process in both]
    assert ports[0] != ports[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_with_a_client(start, number):
    process = start("--port", "0")
    says, _ = ready(process)
    with socket.create_connection(("127.0.0.1", says["port"])):
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")


def test_a_machine_that_fails_ends_the_process(start):
    process = start(command=[sys.executable, "-c", FAILING_IOC])
    ready(process)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "the soft machine's clock stopped by itself" in errors


def test_it_dies_with_its_parent(start):
    parent = start(command=[sys.executable, "-c", PARENT, *COMMAND, "--port", "0"])
    says, _ = ready(parent)
    with socket.create_connection(("127.0.0.1", says["port"])) as connection:
        parent.kill()
        connection.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionResetError):  # the kernel may close either way
            assert connection.recv(1) == b""


def test_a_port_in_use_is_refused(start):
    says, _ = ready(start("--port", "0"))
    second = run("--port", str(says["port"]))
    assert second.returncode == 2
    assert re.search(f"error: port {says['port']} of 127.0.0.1 .*--port", second.stderr)
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenario", "bad"], r"unknown scenario 'bad'; known: .*err5"),
        (["--machine", "bad"], r"unknown machine 'bad'; known: .*cafe2"),
        (["--ion", "bad"], r"unknown ion 'bad'; known: .*40Ar12\+"),
        (["--without", "HCM1_PS:DCH_01:Iset"], r"unknown PV .*HCM1_PS:DCH_01:ISet"),
        (["--machine", "lpi", "--scenario", "err5"], r"unknown scenario 'err5'; known: dark, ideal, nominal"),
        (["--scenario", "lpi=nominal"], r"unknown machine 'lpi'; known: cafe2"),
        (["--machine", "lpi", "--machine", "lpi"], r"machine 'lpi' is given 2 times"),
        (["--interface", "eth0"], r"'eth0' is not an IPv4 address"),
    ],
)
def test_what_it_does_not_know_it_refuses_with_what_it_does(options, message):
    result = run("--port", "0", *options)
    assert result.returncode == 2
    assert re.search(message, result.stderr)
    assert "Traceback" not in result.stderr


def test_help_names_every_scenario_and_option():
    text = run("--help", command=[sys.executable, "-m", "ioc"]).stdout
    for name in {*scenarios(MACHINE), *injector_scenarios(load_injector("lpi"))}:
        assert re.search(rf"\b{name}\b", text)
    for option in ("machine", "ion", "seed", "prefix", "port", "interface", "speed", "without"):
        assert f"--{option}" in text


def test_another_interface_comes_with_a_warning(start):
    _, text = ready(start("--port", "0", "--interface", "0.0.0.0"))
    assert "WARNING" in text
    assert "EPICS_CA_ADDR_LIST=127.0.0.1" in text


def test_it_loads_nothing_heavy():
    loaded = set(run(command=[sys.executable, "-c", LOADED]).stdout.split())
    assert "caproto" in loaded
    assert not loaded & {"numba", "torch", "scipy.optimize", "matplotlib", "epics", "onnxruntime", "pandas"}


@pytest.fixture
def engine():
    engine = EpicsEngine()
    yield engine
    engine.close()


def test_the_engine_of_the_product_gets_along_with_it(start_soft_ioc, engine):
    ioc = start_soft_ioc("--scenario", "ideal", "--speed", "4", "--without", SETPOINT, "--without", HEARTBEAT)
    first, second = (ioc.name(f"HCM1_PS:{magnet}:ISet") for magnet in ("DCV_01", "DCH_02"))
    bpm = ioc.name("Bpm:6-X11")
    assert ioc.ready["pvs"] == 182
    with pytest.raises(ChannelConnectionError, match=ioc.name(SETPOINT)):
        engine.start([ioc.name(SETPOINT)], timeout_s=2.0)
    engine.start([first, second, bpm])
    results = engine.write({first: 3.0, second: 500.0}, timeout_s=PATIENCE_S)
    assert {name: result.outcome for name, result in results.items()} == {
        first: Outcome.OK,
        second: Outcome.ALTERED,
    }
    assert results[second].held == 74.0
    meta = engine.meta([first, bpm])
    assert (meta[first].lo, meta[first].hi, meta[first].units) == (-74.0, 74.0, "A")
    assert not meta[bpm].has_limits
    assert not meta[bpm].writable
    assert meta[bpm].host.endswith(f":{ioc.ready['port']}")
    ioc.process.close()


def test_one_port_of_the_environment_is_taken(start, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setitem(os.environ, "EPICS_CAS_SERVER_PORT", str(port))
    assert ready(start())[0]["port"] == port
