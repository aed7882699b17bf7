"""The console in Debian's Chromium, against the running service, control process and soft machine."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from beamctl.api.auth.tokens import SESSION, new_token, token_hash
from beamctl.errors import StoreConflictError
from beamctl.settings import Settings
from beamctl.store.events import now
from beamctl.store.open import Store, open_store
from beamctl.store.states import Role
from beamctl.wiring.deployment import Deployment

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery"
PATIENCE_MS = 60_000
READY_S = 60.0
COOKIE = "beamctl_session"
SEED = "11"
SPEED = "8"


def _line(process: "subprocess.Popen[str]", begins: str) -> str:
    """The line by which a process says that it is ready."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(begins):
            return line
    raise AssertionError("".join(seen))


class Site:
    """Everything that a control room has: a machine, a control process, the service, people.

    Attributes:
        prefix: of every PV.
        url: of the service.
        store: for what nobody can do from a browser.
    """

    def __init__(self, folder: Path, ioc: Any) -> None:
        self.ioc = ioc
        self.prefix: str = ioc.prefix
        self._environment = os.environ | {
            "BEAMCTL_STORE": f"sqlite:///{folder}/beamctl.db",
            "BEAMCTL_PREFIX": ioc.prefix,
        }
        self._log = (folder / "processes.log").open("a")
        self.store: Store = open_store(self._environment["BEAMCTL_STORE"])
        self.deployment = Deployment(Settings(prefix=ioc.prefix, store=self._environment["BEAMCTL_STORE"]))
        hashed = PasswordHasher().hash(PASSWORD)
        for role in Role:
            self.store.users.create(role.value, role, hashed, principal="tests")
        self.start_control()
        self.port = 0
        self.start_service()

    def section(self, name: str) -> str:
        """Its key."""
        return f"{self.prefix}{name}"

    def start_control(self) -> None:
        self.control = self._start("operate")
        _line(self.control, "READY")

    def start_service(self) -> None:
        """Start it, or start it again at the same port."""
        self.service = self._start("serve", "--port", str(self.port))
        self.url = _line(self.service, "READY").split()[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        deadline = time.monotonic() + READY_S
        while httpx.get(f"{self.url}/readyz").status_code != 200:
            assert time.monotonic() < deadline, httpx.get(f"{self.url}/readyz").text
            time.sleep(0.1)

    def kill_service(self) -> None:
        self.service.kill()
        self.service.communicate()

    def cookie(self, role: Role) -> dict[str, Any]:
        """Of a new session."""
        token = new_token(SESSION)
        self.store.sessions.create(token_hash(token), role.value, now() + timedelta(hours=1))
        return {"name": COOKIE, "value": token, "url": self.url, "httpOnly": True, "sameSite": "Strict"}

    def end_runs(self) -> None:
        """No test leaves a run to the next one."""
        from beamctl.store.states import RunState, Verb

        deadline = time.monotonic() + READY_S
        while unfinished := self.store.runs.unfinished():
            assert time.monotonic() < deadline, unfinished
            for run in unfinished:
                is_parked = run.state in (RunState.HALTED, RunState.FAULT, RunState.UNKNOWN)
                with suppress(StoreConflictError):  # it has ended just now
                    self.store.commands.send(run.id, Verb.CLEAR if is_parked else Verb.ABORT, "tests")
            time.sleep(0.5)

    def close(self) -> None:
        for process in (self.service, self.control):
            process.terminate()
        for process in (self.service, self.control):
            try:
                process.communicate(timeout=READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        self.store.close()
        self._log.close()

    def _start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "beamctl", *words],
            cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, start_soft_ioc: Any) -> Iterator[Site]:
    """One for each module of browser tests, so that nothing of it runs beside other tests."""
    ioc = start_soft_ioc("--machine", "cafe2", "--machine", "lpi", "--seed", SEED, "--speed", SPEED)
    made = Site(tmp_path_factory.mktemp("site"), ioc)
    yield made
    made.close()
    ioc.process.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's, without a window."""
    found = shutil.which("chromium")
    assert found, "apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Complaints:
    """What a page has complained of: scripts that failed, policies that were broken, dialogues nobody asked for."""

    def __init__(self, page: Page) -> None:
        self.heard: list[str] = []
        page.on("pageerror", lambda error: self.heard.append(f"error: {error.stack or error}"))
        page.on("dialog", lambda dialog: (self.heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        is_network = "Failed to load resource" in message.text or "ERR_" in message.text
        if message.type in ("error", "warning") and not is_network:
            self.heard.append(f"console: {message.text}")


@pytest.fixture
def open_page(site: Site, chromium: Browser) -> Iterator[Any]:
    """``open_page("tune/cafe2-cm1", Role.OPERATOR)``: a page of its own context, logged in unless the role is None."""
    contexts: list[BrowserContext] = []
    complaints: list[Complaints] = []

    def make(view: str = "machine", role: Role | None = Role.OPERATOR, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        if role is not None:
            context.add_cookies([site.cookie(role)])  # type: ignore[list-item]
        page = context.new_page()
        complaints.append(Complaints(page))
        page.goto(f"{site.url}/#/{view}")
        return page

    yield make
    for context in contexts:
        context.close()
    site.end_runs()
    assert [heard for one in complaints for heard in one.heard] == []
