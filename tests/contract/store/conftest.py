"""The databases that a store can stand on: SQLite always, PostgreSQL on a private server where its programs are."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome, WriteResult
from beamctl.store.chain import verify_chain
from beamctl.store.leases import Lease
from beamctl.store.open import Store, open_store
from beamctl.store.requests import NewRequest
from beamctl.store.runs import NewRun, Run

WRITER = Path(__file__).with_name("writer.py")
PATIENCE_S = 60.0
_PR_SET_PDEATHSIG = 1


class PostgresServer:
    """A private server on a unix socket in a folder of its own; it dies with the test process."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._user: dict[str, object] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            entry = _server_account()
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", "shared_buffers=16MB")
        with (folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [programs / "postgres", "-D", "data", *(word for setting in settings for word in ("-c", setting))],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                **self._user,
            )
        self._wait_until_up()
        self.execute("CREATE DATABASE store")

    def new_url(self) -> str:
        """The database, emptied; a new one for each test would cost a second each."""
        self.cut_connections()
        self.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", database="store")
        return self.url("store")

    def cut_connections(self) -> None:
        """As a restart of the server or a broken network would."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'store'")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Do something as the administrator."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def close(self) -> None:
        self._server.send_signal(signal.SIGQUIT)  # at once: nobody wants its files
        self._server.wait(PATIENCE_S)

    def _wait_until_up(self) -> None:
        import psycopg

        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text(errors="replace")) from None
                time.sleep(0.1)
            else:
                return

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments], cwd=self._folder, capture_output=True, text=True, **self._user
        )
        assert done.returncode == 0, done.stderr


def _server_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _programs() -> Path | None:
    candidates = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a worker."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs (initdb, postgres) are not installed")
    folder = Path(tempfile.mkdtemp(prefix="beamctl-pg-"))  # short: a socket's path has at most 107 characters
    try:
        server = PostgresServer(programs, folder)
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a store, on every database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/beamctl.db"
    return request.getfixturevalue("postgres").new_url()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def other(store: Store, url: str) -> Iterator[Store]:
    """The same store, as another process would have it."""
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    with store.leases.section("cm1") as held:
        yield held


@pytest.fixture
def run(store: Store, lease: Lease) -> Run:
    return store.runs.create(lease, new_run())


def new_run(section: str = "cm1") -> NewRun:
    return NewRun(
        section=section,
        task=f"{section}-orbit",
        principal="operator",
        agent="svd",
        agent_hashes={"policy.onnx": "ab" * 32},
        configuration_hash="cd" * 32,
    )


def new_request(key: str = "k1", **changed) -> NewRequest:
    values = {
        "task": "cm1-orbit", "section": "cm1", "algorithm": "tbsac", "agent": "cafe2-orbit", "principal": "operator",
        "idempotency_key": key, "target": {"rms_mm": 0.5}, "budgets": {"steps": 30},
    }  # fmt: skip
    return NewRequest(**{**values, **changed})


def ok(value: float) -> WriteResult:
    return WriteResult(Outcome.OK, value, value)


def verified(store):
    with store.database.read() as connection:
        return verify_chain(connection)


class Child:
    """``writer.py`` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def say(self, line: str = "go") -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Its next line; empty at its end."""
        return self._process.stdout.readline().strip()

    def lines(self) -> list[str]:
        """All that is left, until it ends."""
        lines = [line.strip() for line in self._process.stdout]
        assert self._process.wait(PATIENCE_S) == 0, lines
        return lines

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(PATIENCE_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def start_child() -> Iterator[Callable[..., Child]]:
    started: list[Child] = []

    def start(*arguments: str) -> Child:
        started.append(Child(*arguments))
        return started[-1]

    yield start
    for child in started:
        child.close()
