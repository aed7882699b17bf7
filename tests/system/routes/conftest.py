"""The service over a real store: uvicorn, people with keys, and a control process over simulated machines."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn

from beamctl.api.app import create_app
from beamctl.api.auth.tokens import KEY, new_token, token_hash
from beamctl.api.service import Service
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.factory import make_plant
from beamctl.run.supervisor import Supervisor
from beamctl.settings import Settings
from beamctl.store.open import Store, open_store
from beamctl.store.runs import Run
from beamctl.store.states import Role
from beamctl.wiring.control import ControlWorkshop
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.serve.machines import DescribedMachines

PATIENCE_S = 60.0
SECTION = "cafe2-cm1"
TASK = "cm1-orbit"


class PacedClock:
    """Virtual time that lets others work: a virtual second lasts ten real milliseconds."""

    def __init__(self, clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        time.sleep(min(seconds, 1.0) * 0.01)


class Control:
    """A control process in a thread, over one simulated linac."""

    def __init__(self, store: Store, deployment: Deployment) -> None:
        self._store = store
        self._stop = threading.Event()
        self._lease = store.leases.control()
        machine = deployment.machines[0]
        self.plant = make_plant([machine], None, ["err5"], 3)
        self._supervisor = Supervisor(store, ControlWorkshop(deployment, store, self._engine))
        self._supervisor.recover()
        self._thread = threading.Thread(target=self._supervisor.serve, args=(self._stop,), name="control")
        self._thread.start()

    def _engine(self) -> SimulatedEngine:
        engine = SimulatedEngine(self.plant)
        engine.clock = PacedClock(engine.clock)
        return engine

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._lease.release()


class Site:
    """A store and a service over it, with one person per role.

    Attributes:
        url: of the service.
        viewer, operator, admin: clients that show an API key of theirs.
    """

    def __init__(self, store: Store, deployment: Deployment) -> None:
        self.store = store
        self.deployment = deployment
        self.service = Service(store, DescribedMachines(deployment, store))
        self.app = create_app(self.service)
        self._clients: list[httpx.Client] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(self.app, log_level="warning", access_log=False, lifespan="on")
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, name="serve")
        self._thread.start()
        self.wait_for(lambda: self.server.started)
        for role in Role:
            store.users.create(f"{role.value}-1", role, None, principal="tests")
        self.viewer, self.operator, self.admin = (self.as_(f"{role.value}-1") for role in Role)

    def key_of(self, name: str) -> str:
        """A new API key, as mighty as the account."""
        token, scope = new_token(KEY), self.store.users.get(name).role
        expires = datetime.now(UTC) + timedelta(days=1)
        self.store.keys.create(token_hash(token), token[:12], name, "tests", scope, expires, name)
        return token

    def as_(self, name: str) -> httpx.Client:
        """A client of an account."""
        headers = {"Authorization": f"Bearer {self.key_of(name)}"}
        self._clients.append(httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=PATIENCE_S))
        return self._clients[-1]

    @contextmanager
    def someone(self, role: Role) -> Iterator[tuple[str, httpx.Client]]:
        """Another account of a role."""
        name = f"{role.value}-{secrets.token_hex(4)}"
        self.store.users.create(name, role, None, principal="tests")
        yield name, self.as_(name)

    def wait_for(self, look: Callable[[], Any]) -> Any:
        """What a look gives, once it gives something."""
        deadline = time.monotonic() + PATIENCE_S
        while not (seen := look()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return seen

    def ask(self, **asked: Any) -> int:
        """Ask for a run and wait until it begins; its number. What a test before has left is ended first."""
        for left in self.store.runs.unfinished():
            self.end(left.id)
        answer = self.operator.post("/runs", json={"task": TASK, "preflight": 0, **asked})
        assert answer.status_code == 202, answer.text
        request = answer.json()["id"]

        def begun() -> int | None:
            now = self.operator.get(f"/requests/{request}").json()
            assert now["state"] not in ("refused", "cancelled"), now
            return now["run"]

        return int(self.wait_for(begun))

    def until(self, run: int, *states: str) -> dict[str, Any]:
        """A run as soon as it is in one of the states, or has ended where none is given."""

        def there() -> dict[str, Any] | None:
            now = self.viewer.get(f"/runs/{run}").json()
            is_there = now["state"] in states if states else now["is_over"]
            return now if is_there else None

        return self.wait_for(there)

    def end(self, run: int) -> dict[str, Any]:
        """A run that is over: accepted where it waits for a review, aborted else."""
        now = self.viewer.get(f"/runs/{run}").json()
        if not now["is_over"]:
            self.operator.post(f"/runs/{run}/abort").raise_for_status()
        return self.until(run)

    def publish(self, section: str = SECTION, **values: Any) -> None:
        """What the control process's observer does; the service has seen it when this returns."""
        detail = self.service.machines.sections[section]
        k, n = len(detail.knobs), len(detail.channels)
        payload = {
            "knobs": [knob.name for knob in detail.knobs], "unfit": [],
            "identity": "CAFe2 simulation", "is_simulated": True, "permit": True, "enable": True,
            "heartbeat_age_s": 0.1, "current_ma": 0.2, "current_severity": 0, "setpoint_a": [0.5] * k,
            "readback_a": [0.5] * k, "knob_severity": [0] * k, "values": [1.0] * n, "median": [1.0] * n,
            "noise": [0.01] * n, "valid": [True] * n, "severity": [0] * n, "channel_age_s": [0.1] * n,
            "figures": {"rms_mm": 1.0}, **values,
        }  # fmt: skip
        self.store.live.publish({section: payload})
        number = self.store.live.number()
        self.wait_for(lambda: self.service.live.number >= number)

    def shut(self) -> None:
        """End the service; safe to call twice."""
        self.service.watcher.close_streams()
        self.server.should_exit = True
        self._thread.join()

    def close(self) -> None:
        """End everything."""
        for client in self._clients:
            client.close()
        self.shut()
        self.socket.close()


@contextmanager
def open_site(folder) -> Iterator[Site]:
    """A service over a new store."""
    url = f"sqlite:///{folder}/beamctl.db"
    with open_store(url) as store:
        site = Site(store, Deployment(Settings(store=url)))
        try:
            yield site
        finally:
            site.close()


@pytest.fixture(scope="session")
def quiet(tmp_path_factory) -> Iterator[Site]:
    """A service without any control process."""
    with open_site(tmp_path_factory.mktemp("quiet")) as site:
        yield site


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Iterator[Site]:
    """A service beside a control process; whoever begins a run ends it."""
    with open_site(tmp_path_factory.mktemp("site")) as one:
        control = Control(one.store, one.deployment)
        one.control = control
        one.wait_for(lambda: one.service.control.is_alive)
        try:
            yield one
        finally:
            control.stop()


@pytest.fixture(scope="session")
def done(site: Site) -> dict[str, Any]:
    """A run that has reached its goal, was reviewed and accepted."""
    run = site.ask(algorithm="bls", review=True, note=HOSTILE)
    site.until(run, "review")
    site.operator.post(f"/runs/{run}/accept").raise_for_status()
    return site.until(run)


HOSTILE = "<script>alert(1)</script> & \"quotes\" 'single' </title>"


@pytest.fixture
def hostile() -> str:
    """A note that would do harm where it is not escaped."""
    return HOSTILE


@pytest.fixture
def begun(site: Site) -> Iterator[int]:
    """A run that goes on until something ends it; ended afterwards."""
    run = site.ask(algorithm="svd", target=0.01, max_steps=1000)
    site.until(run, "running")
    yield run
    site.end(run)


def run_row(site: Site, run: int) -> Run:
    """The row."""
    return site.store.runs.get(run)
