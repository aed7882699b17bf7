"""A whole beamctl for clients: soft machine, control process and service as processes, people with keys."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from beamctl.api.auth.tokens import KEY, new_token, token_hash
from beamctl.api.schemas.accounts import RoleName
from beamctl.client.client import AsyncClient, Client
from beamctl.store.open import Store
from beamctl.store.states import Role
from tests.system.conftest import PATIENCE_S, ROOT, ControlProcess, SoftIoc

PASSWORD = "correct horse battery"


class ServeProcess:
    """``beamctl serve`` at a port that stays the same when it is started again."""

    def __init__(self, prefix: str, store: str, log: Path) -> None:
        self._command = [sys.executable, "-m", "beamctl", "--prefix", prefix, "serve", "--port"]
        self._environment = os.environ | {"BEAMCTL_STORE": store}
        self._log = log
        self.url = ""

    def start(self) -> None:
        """Start it, or start it again; returns when it answers."""
        with self._log.open("a") as errors:
            self.process = subprocess.Popen(
                [*self._command, self.url.rpartition(":")[2] or "0"],
                cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("READY "):
                self.url = line.removeprefix("READY ").strip()
                return
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.communicate()


class Plant:
    """All of it.

    Attributes:
        control: the control process.
        serve: the service.
        viewer, operator, admin: API keys.
    """

    def __init__(self, control: ControlProcess, serve: ServeProcess) -> None:
        self.control = control
        self.serve = serve
        for role in Role:
            self.store.users.create(f"{role.value}-1", role, None, principal="tests")
        self.viewer, self.operator, self.admin = (self.key_of(f"{role.value}-1") for role in Role)

    @property
    def store(self) -> Store:
        """What all share."""
        return self.control.store

    @property
    def section(self) -> str:
        """Of the task that is tuned."""
        return f"{self.control.prefix}cafe2-cm1"

    def key_of(self, name: str) -> str:
        """A new API key, as mighty as the account."""
        token, scope = new_token(KEY), self.store.users.get(name).role
        expires = datetime.now(UTC) + timedelta(days=1)
        self.store.keys.create(token_hash(token), token[:12], name, "tests", scope, expires, name)
        return token

    def client(self, key: str | None, patience_s: float = PATIENCE_S) -> Client:
        """To be used in a ``with`` block."""
        return Client(self.serve.url, key, patience_s=patience_s)

    @contextmanager
    def session(self, name: str, role: RoleName) -> Iterator[Client]:
        """Another account, logged in by password."""
        with self.client(self.admin) as admin, self.client(None) as client:
            admin.users.create(name, role, PASSWORD)
            client.session.log_in(name, PASSWORD)
            client.session.change_password(PASSWORD, PASSWORD + "!")
            yield client

    def async_client(self, key: str | None) -> AsyncClient:
        """To be used in an ``async with`` block."""
        return AsyncClient(self.serve.url, key, patience_s=PATIENCE_S)

    def end_everything(self) -> None:
        """No run goes on when the next test begins."""
        with self.client(self.operator) as client:
            for run in client.runs.list(limit=20).runs:
                if not run.is_over:
                    client.runs.abort(run.id)
                    assert client.runs.wait(run.id).is_over

    def close(self) -> None:
        """End all that was started."""
        self.serve.kill()
        self.control.close()


@pytest.fixture(scope="module")
def plant_ioc(start_soft_ioc) -> Iterator[SoftIoc]:
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", "4")
    yield ioc
    ioc.process.close()


@pytest.fixture(scope="module")
def whole_plant(plant_ioc, tmp_path_factory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    store = f"sqlite:///{folder}/beamctl.db"
    control = ControlProcess(plant_ioc.prefix, store, folder / "operate.log")
    serve = ServeProcess(plant_ioc.prefix, store, folder / "serve.log")
    control.start()
    serve.start()
    one = Plant(control, serve)
    yield one
    one.close()


@pytest.fixture
def plant(whole_plant) -> Iterator[Plant]:
    """The plant, with nothing going on."""
    yield whole_plant
    whole_plant.end_everything()


@pytest.fixture
def client(plant) -> Iterator[Client]:
    """An operator."""
    with plant.client(plant.operator) as one:
        yield one
