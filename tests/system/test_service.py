"""Soft IOC, control process and service as three processes; the judge of what was written is the IOC's log of puts."""

import time

import pytest

from beamctl.engine.epics.engine import EpicsEngine
from beamctl.machine.loader import load_linac
from beamctl.store.states import Role
from tests.system.routes.streams import stream
from tests.system.serving import ServeProcess, person

pytestmark = pytest.mark.system
TASK, SECTION = "cm1-orbit", "cafe2-cm1"
PATIENCE_S = 60.0
SEED = load_linac("cafe2").simulation.seed


class Place:
    """All three, and people."""

    def __init__(self, ioc, control, folder) -> None:
        self.ioc = ioc
        self.control = control
        self.section = next(k for k in [control.deployment.kit(TASK).key])
        self.serve = ServeProcess(ioc.prefix, control.url, folder / "serve.log")
        keys = {role: person(control.store, f"{role.value}-1", role) for role in Role}
        self.serve.start()
        self.viewer, self.operator, self.admin = (self.serve.client(keys[role]) for role in Role)

    def ask(self, **asked) -> int:
        made = self.operator.post("/runs", json={"task": TASK, "preflight": 0, **asked}).raise_for_status().json()
        return self.wait_for(lambda: self.viewer.get(f"/requests/{made['id']}").json()["run"])

    def run(self, number: int) -> dict:
        return self.viewer.get(f"/runs/{number}").raise_for_status().json()

    def wait_for(self, look):
        deadline = time.monotonic() + PATIENCE_S
        while not (seen := look()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return seen

    def close(self) -> None:
        for client in (self.viewer, self.operator, self.admin):
            client.close()
        self.serve.close()


@pytest.fixture(scope="module")
def logged(start_soft_ioc, tmp_path_factory):
    log = tmp_path_factory.mktemp("puts") / "log"
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", "4", "--put-log", str(log))
    yield ioc, log
    ioc.process.close()


@pytest.fixture
def place(logged, make_control, tmp_path):
    control = make_control(logged[0])
    control.start()
    one = Place(logged[0], control, tmp_path)
    yield one
    one.close()


@pytest.fixture
def held(place):
    """What the IOC holds, by another client."""
    knobs = [k.setpoint for k in place.control.deployment.kit(TASK).layout().knobs]
    engine = EpicsEngine(["127.0.0.1"])
    engine.start([*knobs, place.ioc.name(SEED)], PATIENCE_S)
    yield lambda: {pv: engine.read([pv], PATIENCE_S)[pv].number for pv in knobs}
    engine.close()


def test_an_aborted_run_is_restored(place, held):
    before = held()
    run = place.ask(algorithm="svd", target=0.01)
    place.wait_for(lambda: place.run(run)["step"] >= 2)
    assert any(abs(value - before[pv]) > 1e-3 for pv, value in held().items())
    sent = place.operator.post(f"/runs/{run}/abort").raise_for_status().json()
    assert sent["control_is_alive"]
    ended = place.wait_for(lambda: place.run(run)["is_over"] and place.run(run))
    assert (ended["state"], ended["outcome"]) == ("restored", "aborted")
    assert held() == pytest.approx(before, abs=1e-3)
    lines = place.viewer.get(f"/runs/{run}/setpoints").json()["setpoints"]
    assert {line["pv"]: line["now"] for line in lines} == pytest.approx(before, abs=1e-3)
    assert not any(line["is_owed"] for line in lines)


def test_a_halted_run_writes_nothing_and_is_restored_when_told(place, held, logged):
    before = held()
    run = place.ask(algorithm="svd", target=0.01)
    place.wait_for(lambda: place.run(run)["step"] >= 1)
    place.operator.post(f"/runs/{run}/halt").raise_for_status()
    place.wait_for(lambda: "restore" in place.run(run)["allowed"])
    written = logged[1].stat().st_size
    answer = place.viewer.get(f"/runs/{run}")
    assert any(line["is_owed"] for line in place.viewer.get(f"/runs/{run}/setpoints").json()["setpoints"])
    assert logged[1].stat().st_size == written
    headers = {"If-Match": answer.headers["etag"]}
    place.operator.post(f"/runs/{run}/restore", headers=headers).raise_for_status()
    assert place.wait_for(lambda: place.run(run)["is_over"] and place.run(run))["state"] == "restored"
    assert held() == pytest.approx(before, abs=1e-3)


def test_readings_arrive_and_the_service_is_ready(place):
    place.wait_for(lambda: place.viewer.get(f"{place.serve.url}/readyz").status_code == 200)
    with stream(place.viewer, live=[place.section]) as one:
        first = one.wait_for(lambda s: len(s.of("live")) >= 20 and s.of("live"))
    assert {reading["section"] for reading in first} == {place.section}
    assert all(reading["is_fresh"] and reading["is_simulated"] for reading in first)
    overview = place.viewer.get("/machine").json()
    assert overview["control"]["is_alive"]
    assert all(section["live"] is not None for section in overview["sections"])


def test_readiness_ends_with_the_control_process(place):
    place.wait_for(lambda: place.viewer.get(f"{place.serve.url}/readyz").status_code == 200)
    place.control.kill()
    place.wait_for(lambda: place.viewer.get(f"{place.serve.url}/readyz").status_code == 503)
    assert place.viewer.get("/service").json()["control"]["is_alive"] is False
    answer = place.operator.post("/runs", json={"task": TASK, "if_control_down": "refuse"})
    assert answer.status_code == 503
    made = place.operator.post("/runs", json={"task": TASK, "preflight": 0, "algorithm": "bls"}).json()
    assert made["state"] == "waiting"
    place.control.start()
    run = place.wait_for(lambda: place.viewer.get(f"/requests/{made['id']}").json()["run"])
    place.wait_for(lambda: place.run(run)["is_over"])


def test_killed_in_mid_run(place):
    run = place.ask(algorithm="svd", target=0.01, max_steps=6)
    with stream(place.viewer, after=0) as one:
        one.wait_for(lambda s: s.ids)
    seen = one.ids
    for _ in range(3):
        place.serve.kill()
        place.serve.start()
        with stream(place.viewer, resume=seen[-1]) as one:
            one.wait_for(lambda s: s.of("tick"))
        seen += one.ids
    ended = place.wait_for(lambda: place.run(run)["is_over"] and place.run(run))
    assert ended["outcome"] == "not reached", "the run did not notice"
    end = place.control.store.events.end().seq
    while seen[-1] < end:
        with stream(place.viewer, resume=seen[-1]) as one:
            one.wait_for(lambda s: s.ids)
        seen += one.ids
    assert seen == list(range(1, seen[-1] + 1))


def test_ends_at_once_and_quietly(place):
    with stream(place.viewer) as one, stream(place.admin, live=[place.section]) as other:
        for client in (one, other):
            client.wait_for(lambda s: s.of("tick"))
        assert place.serve.stop() < 3.0
        for client in (one, other):
            client.wait_for(lambda s: s.is_over)
    assert place.serve.said() == ""
