"""The service as people and programs meet it: uvicorn on a free port of loopback, over a real store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from beamctl.api.app import create_app
from beamctl.api.auth.tokens import KEY, SESSION, new_token, token_hash
from beamctl.api.options import ServiceOptions
from beamctl.api.server import Binding, listening, server_of
from beamctl.api.service import Service
from beamctl.settings import Settings
from beamctl.store.events import now
from beamctl.store.open import Store, open_store
from beamctl.store.states import Role
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.serve.machines import DescribedMachines

PASSWORD = "correct horse battery"
START_S = 30.0


class House:
    """A running service with an account per role; all of them have the same password.

    Attributes:
        url: where it is.
        app, service, store: its inside, for what nobody can do from outside.
    """

    def __init__(self, store: Store, deployment: Deployment, options: ServiceOptions | None = None) -> None:
        self.store = store
        self.service = Service(store, DescribedMachines(deployment, store), options)
        self.app: FastAPI = create_app(self.service)
        self._clients: list[httpx.Client] = []
        self._socket = listening(Binding("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready = threading.Event()
        self._server = server_of(self.app, Binding("127.0.0.1", 0), ready.set, self.service.end_streams)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="serve")
        self._thread.start()
        assert ready.wait(START_S)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.should_exit = True
        self._thread.join()

    def add(self, name: str, role: Role, password_hash: str | None = None, *, must_change: bool = False) -> None:
        self.store.users.create(name, role, password_hash, must_change=must_change, principal="tests")

    def session(self, name: str, lasts: timedelta = timedelta(hours=1)) -> str:
        """Token of a new session."""
        token = new_token(SESSION)
        self.store.sessions.create(token_hash(token), name, now() + lasts)
        return token

    def key(self, name: str, scope: Role, lasts: timedelta = timedelta(hours=1)) -> str:
        """A new API key."""
        return self.key_and_id(name, scope, lasts)[0]

    def key_and_id(self, name: str, scope: Role, lasts: timedelta = timedelta(hours=1)) -> tuple[str, int]:
        token = new_token(KEY)
        made = self.store.keys.create(token_hash(token), token[:12], name, "tests", scope, now() + lasts, name)
        return token, made.id

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client that shows a token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # no https here: nothing to verify, and no time spent on reading authorities
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60.0, verify=False, **options)
        self._clients.append(client)
        return client

    def browser(self) -> httpx.Client:
        """A client that keeps cookies and says that it is one of our pages."""
        client = self.client()
        client.headers["X-Beamctl"] = "1"
        return client

    def log_in(self, name: str, password: str = PASSWORD) -> httpx.Client:
        """A browser with a session."""
        browser = self.browser()
        answer = browser.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 201, answer.text
        return browser


@pytest.fixture(scope="session")
def hashed(house: House) -> str:
    """The hash of PASSWORD, made once."""
    return house.service.authentication.passwords.hash_now(PASSWORD)


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """The machines that come with beamctl; read once."""
    return Deployment(Settings())


@contextmanager
def built(store: Store, deployment: Deployment, options: ServiceOptions | None = None) -> Iterator[House]:
    house = House(store, deployment, options)
    try:
        yield house
    finally:
        house.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[House]:
    """The service with its accounts viewer, operator and admin."""
    folder = tmp_path_factory.mktemp("access")
    with open_store(f"sqlite:///{folder}/beamctl.db") as store, built(store, deployment) as found:
        password = found.service.authentication.passwords.hash_now(PASSWORD)
        for role in Role:
            found.add(role.value, role, password)
        yield found


@pytest.fixture
def fresh(tmp_path, deployment: Deployment) -> Iterator[House]:
    """Another one, with an empty store, for what changes accounts for everybody."""
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store, built(store, deployment) as found:
        yield found


@pytest.fixture
def someone(house: House, hashed: str) -> Iterator[str]:
    """An operator of one test only."""
    name = f"someone-{new_token('')[:8].strip('-_').replace('_', 'x')}"
    house.add(name, Role.OPERATOR, hashed)
    yield name
    if house.store.users.find(name) is not None:
        house.store.users.remove(name, "tests")
