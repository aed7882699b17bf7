"""What only Channel Access can do to an engine: foreign hosts, reconnects, signals, a frozen IOC at exit."""

import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.errors import ChannelConnectionError

IOCS = Path(__file__).parent / "iocs"
PATIENCE_S = 60.0

LEAVE_WITH_A_FROZEN_IOC = """
import sys
from beamctl.engine.epics.engine import EpicsEngine
engine = EpicsEngine()
engine.start([sys.argv[1]], 30.0)
print("connected", flush=True)
sys.stdin.readline()
print(engine.write({sys.argv[1]: 1.0}, 0.1)[sys.argv[1]].outcome, flush=True)
"""


@pytest.fixture
def prefix():
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def start(start_ioc, prefix):
    return lambda script="caproto_ioc.py": start_ioc([sys.executable, str(IOCS / script), prefix])


@pytest.fixture
def ioc(start, request):
    ioc = start(getattr(request, "param", "caproto_ioc.py"))
    yield ioc
    ioc.close()


@pytest.fixture
def make_engine(ioc):
    made = []

    def make(**options):
        made.append(EpicsEngine(**options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_a_foreign_host_is_refused_at_start(make_engine, prefix):
    engine = make_engine(expected_hosts=["192.0.2.1"])
    with pytest.raises(ChannelConnectionError, match=f"{prefix}:SET1 .*192|192.*{prefix}:SET1"):
        engine.start([f"{prefix}:SET1"], PATIENCE_S)
    assert engine.write({f"{prefix}:SET1": 1.0})[f"{prefix}:SET1"].outcome is Outcome.BLOCKED


def test_an_expected_host_may_be_named(make_engine, prefix):
    engine = make_engine(expected_hosts=["localhost"])
    engine.start([f"{prefix}:SET1"], PATIENCE_S)
    assert engine.write({f"{prefix}:SET1": 1.0}, PATIENCE_S)[f"{prefix}:SET1"].outcome is Outcome.OK


@pytest.mark.parametrize("ioc", ["base_ioc.py", "caproto_ioc.py"], indirect=True)
def test_enums_and_integers_are_numbers(make_engine, prefix):
    switch, count = f"{prefix}:SWITCH", f"{prefix}:COUNT"
    engine = make_engine()
    engine.start([switch, count], PATIENCE_S)
    results = engine.write({switch: 1.0, count: 3.0}, PATIENCE_S)
    assert {pv: (r.outcome, r.held) for pv, r in results.items()} == {
        switch: (Outcome.OK, 1.0),
        count: (Outcome.OK, 3.0),
    }
    assert engine.write({count: 4.5}, PATIENCE_S)[count].outcome is Outcome.ALTERED
    meta = engine.meta([switch, count], PATIENCE_S)
    assert (meta[count].lo, meta[count].hi, meta[count].units) == (-10.0, 10.0, "turns")
    assert not meta[switch].has_limits


def test_a_restarted_ioc_shows_as_a_reconnect(make_engine, ioc, start, prefix):
    pv, beat = f"{prefix}:SET1", f"{prefix}:HEARTBEAT"
    engine = make_engine()
    engine.start([pv, beat], PATIENCE_S)
    assert engine.write({pv: 3.0}, PATIENCE_S)[pv].outcome is Outcome.OK
    host = engine.meta([pv])[pv].host
    assert engine.reconnect_count(pv) == 0
    seq = engine.latest([beat])[beat].seq
    ioc.close()
    with pytest.raises(ChannelConnectionError):
        engine.wait([beat], {beat: seq}, 200, PATIENCE_S)
    again = start()
    try:
        seq = engine.latest([pv])[pv].seq
        for _ in range(100):
            try:
                engine.wait([pv], {pv: seq}, 1, PATIENCE_S)
                break
            except ChannelConnectionError:
                engine.clock.sleep(0.1)
        reading = engine.latest([pv])[pv]
        assert reading.connected
        assert reading.value == 0.0
        assert engine.reconnect_count(pv) == 1
        assert engine.meta([pv])[pv].host == f"127.0.0.1:{again.port}" != host
    finally:
        again.close()


def test_a_wait_can_be_interrupted(make_engine, prefix):
    pv = f"{prefix}:SET1"
    engine = make_engine()
    engine.start([pv], PATIENCE_S)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        engine.wait([pv], {pv: 100}, 1, PATIENCE_S)
    timer.join()
    assert engine.write({pv: 1.0}, PATIENCE_S)[pv].outcome is Outcome.OK


def test_a_process_ends_though_its_ioc_is_frozen(ioc, prefix):
    """Destroying the context of libca would wait 30 s for the circuit."""
    argv = [sys.executable, "-W", "error", "-c", LEAVE_WITH_A_FROZEN_IOC, f"{prefix}:SET1"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "connected\n"
            ioc.freeze()
            output, _ = process.communicate("go on\n", timeout=25.0)
        finally:
            process.kill()
    assert (process.returncode, output) == (0, "unknown\n")


def test_libca_is_that_of_epicscorelibs(make_engine, prefix):
    make_engine().start([f"{prefix}:SET1"], PATIENCE_S)
    loaded = {Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines() if "libca" in line}
    assert {path.parent.parent.name for path in loaded} == {"epicscorelibs"}


def test_importing_the_engine_loads_no_libca():
    heavy = "{'epics', 'epicscorelibs'}"
    code = f"import sys, beamctl.engine.epics.engine; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
