"""The soft IOC as a process, and the two clients that it must please: pyepics on libca, and caproto.

And the control process, with a store of its own.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beamctl.settings import Settings
from beamctl.store.open import Store, open_store
from beamctl.store.requests import Request
from beamctl.store.runs import Run
from beamctl.wiring.control import new_request
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""how long an answer may take that will come; never asserted on"""


@dataclass(frozen=True)
class SoftIoc:
    """A soft IOC that answers.

    Attributes:
        process: of the root conftest.
        prefix: its own, so that two machines never answer to one name.
        ready: what its READY line said.
    """

    process: Any
    prefix: str
    ready: dict[str, Any]

    def name(self, pv: str) -> str:
        """Under which clients know a PV of the machine."""
        return self.prefix + pv


StartSoftIoc = Callable[..., SoftIoc]


@pytest.fixture(scope="session")
def start_soft_ioc(start_ioc: Callable[..., Any]) -> StartSoftIoc:
    """Start one with further options: ``start_soft_ioc("--seed", "7")``."""

    def start(*options: str) -> SoftIoc:
        prefix = f"T{secrets.token_hex(4)}:"
        argv = [sys.executable, "-m", "ioc", "--die-with-parent", "--prefix", prefix, *options]
        process = start_ioc(argv, ready="READY ", env={"PYTHONPATH": str(ROOT)})
        ready = next(line for line in process.output().splitlines() if line.startswith("READY "))
        return SoftIoc(process, prefix, json.loads(ready.removeprefix("READY ")))

    return start


@pytest.fixture(scope="module")
def soft_ioc(start_soft_ioc: StartSoftIoc) -> Iterator[SoftIoc]:
    """Fast, with every error but a known seed; tests leave it as they find it, or redraw it first."""
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", "4")
    yield ioc
    ioc.process.close()


class PyepicsClient:
    """Channel Access as most of the field's Python does it."""

    def __init__(self) -> None:
        from beamctl.engine.epics import libca

        libca.attach()  # loads and initialises libca, once for all who share this process
        import epics

        self._epics = epics
        self._pvs: dict[str, Any] = {}
        self._watched: list[Any] = []
        self._chids: dict[int, Any] = {}  # PVs of one name share a channel

    def _pv(self, name: str) -> Any:
        if name not in self._pvs:
            pv = self._epics.PV(name, form="ctrl", auto_monitor=False)
            assert pv.wait_for_connection(PATIENCE_S), f"no answer from {name}"
            assert pv.host.split(":")[0] in ("127.0.0.1", "localhost")
            self._pvs[name] = pv
        return self._pvs[name]

    def read(self, name: str) -> tuple[Any, int]:
        """Value and severity, over the network."""
        pv = self._pv(name)
        answer = pv.get_with_metadata(form="time", use_monitor=False, timeout=PATIENCE_S)
        value = answer["value"]
        return (pv.enum_strs[value] if pv.enum_strs else value), answer["severity"]

    def control(self, name: str) -> dict[str, Any]:
        """Units, precision and limits."""
        return dict(self._pv(name).get_ctrlvars(timeout=PATIENCE_S))

    def is_writable(self, name: str) -> bool:
        """Whether the access rights allow a put."""
        return bool(self._pv(name).write_access)

    def begin_put(self, name: str, value: float) -> threading.Event:
        """Send a put; the event is set when it is complete."""
        end = threading.Event()
        self._pv(name).put(value, callback=lambda **_: end.set())
        return end

    def is_put_refused(self, name: str, value: float) -> bool:
        """Put and wait; pyepics tells no refusal from a success, so the answer is always True."""
        return self.begin_put(name, value).wait(PATIENCE_S)

    def watch(self, name: str, on_update: Callable[[Any], None]) -> None:
        """Have every update of a numeric PV reported, the present value first."""
        pv = self._epics.PV(name, form="time", auto_monitor=True, callback=lambda value, **_: on_update(value))
        self._watched.append(pv)

    def unwatch(self) -> None:
        """Have nothing reported any more."""
        for pv in self._watched:
            pv.disconnect()
        self._chids |= {pv.chid.value: pv.chid for pv in self._watched}
        self._watched.clear()

    def close(self) -> None:
        """Drop everything, so that nothing calls back later."""
        self._watched += self._pvs.values()
        self.unwatch()
        for chid in self._chids.values():
            self._epics.ca.clear_channel(chid)
        self._epics.ca.flush_io()


class CaprotoClient:
    """Channel Access without libca."""

    def __init__(self) -> None:
        from caproto.threading.client import Context, SharedBroadcaster

        self._broadcaster = SharedBroadcaster()
        self._context = Context(self._broadcaster)
        self._pvs: dict[str, Any] = {}
        self._subscriptions: list[Any] = []

    def _pv(self, name: str) -> Any:
        if name not in self._pvs:
            (pv,) = self._context.get_pvs(name, timeout=PATIENCE_S)
            pv.wait_for_connection(timeout=PATIENCE_S)
            assert pv.circuit_manager.circuit.address[0] == "127.0.0.1"
            self._pvs[name] = pv
        return self._pvs[name]

    def read(self, name: str) -> tuple[Any, int]:
        """Value and severity, over the network."""
        pv = self._pv(name)
        answer = pv.read(data_type="time", timeout=PATIENCE_S)
        value = answer.data[0]
        if pv.channel.native_data_type.name == "ENUM":
            value = pv.read(data_type="control", timeout=PATIENCE_S).metadata.enum_strings[value]
        return (value.decode() if isinstance(value, bytes) else value), int(answer.metadata.severity)

    def control(self, name: str) -> dict[str, Any]:
        """Units, precision and limits."""
        metadata = self._pv(name).read(data_type="control", timeout=PATIENCE_S).metadata.to_dict()
        return metadata | {"units": metadata["units"].decode()}

    def is_writable(self, name: str) -> bool:
        """Whether the access rights allow a put."""
        return bool(self._pv(name).access_rights & 2)

    def begin_put(self, name: str, value: float) -> threading.Event:
        """Send a put; the event is set when it is complete."""
        end = threading.Event()
        self._pv(name).write([value], wait=False, notify=True, timeout=PATIENCE_S, callback=lambda _: end.set())
        return end

    def is_put_refused(self, name: str, value: float) -> bool:
        """Put, and learn from the IOC's answer whether it refused."""
        response = self._pv(name).write([value], wait=True, notify=True, timeout=PATIENCE_S)
        return not response.status.success

    def watch(self, name: str, on_update: Callable[[Any], None]) -> None:
        """Have every update of a numeric PV reported, the present value first."""

        def on_event(_: Any, response: Any) -> None:
            on_update(response.data[0])

        subscription = self._pv(name).subscribe(data_type="time")
        subscription.add_callback(on_event)
        self._subscriptions.append((subscription, on_event))  # caproto holds callbacks weakly

    def unwatch(self) -> None:
        """Have nothing reported any more."""
        for subscription, _ in self._subscriptions:
            subscription.clear()
        self._subscriptions.clear()

    def close(self) -> None:
        """Drop everything."""
        self.unwatch()
        self._context.disconnect()
        self._broadcaster.disconnect()


@pytest.fixture(scope="module", params=[PyepicsClient, CaprotoClient])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Either client."""
    one = request.param()
    yield one
    one.close()


class Updates:
    """What a PV published, and a way to wait for it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._arrived = threading.Condition()

    def add(self, value: Any) -> None:
        """Called by the client."""
        with self._arrived:
            self.values.append(value)
            self._arrived.notify_all()

    def wait_for(self, what: Callable[[list[Any]], bool]) -> None:
        """Until the values so far satisfy ``what``."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: what(self.values), PATIENCE_S), self.values[-5:]

    def wait_for_more(self, count: int) -> list[Any]:
        """The next ``count`` values."""
        with self._arrived:
            seen = len(self.values)
        self.wait_for(lambda values: len(values) >= seen + count)
        return self.values[seen : seen + count]


@pytest.fixture
def watch(client: Any) -> Iterator[Callable[..., Any]]:
    """Watch PVs: ``watch(name).wait_for_more(5)``, or a list of them for several names."""

    def begin(*names: str) -> Any:
        watched = [Updates() for _ in names]
        for name, updates in zip(names, watched, strict=True):
            client.watch(name, updates.add)
        for updates in watched:
            updates.wait_for(bool)
        return watched if len(names) > 1 else watched[0]

    yield begin
    client.unwatch()


@pytest.fixture
def put(client: Any) -> Callable[[str, float], None]:
    """Put and wait for completion."""

    def complete(name: str, value: float) -> None:
        assert client.begin_put(name, value).wait(PATIENCE_S), f"the put to {name} did not end"

    return complete


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of one test do not meet the runs of another."""
    monkeypatch.setenv("BEAMCTL_STORE", f"sqlite:///{tmp_path}/beamctl.db")


class ControlProcess:
    """``beamctl operate`` over a store, and who asks it for something.

    Args:
        prefix: of the PVs.
        store: URL.
        log: file for what it says.
    """

    def __init__(self, prefix: str, store: str, log: Path) -> None:
        self.deployment = Deployment(Settings(prefix=prefix, store=store))
        self.prefix = prefix
        self.url = store
        self.log = log
        self.process: subprocess.Popen[str] | None = None
        self._commands: list[subprocess.Popen[str]] = []

    @property
    def store(self) -> Store:
        """Opened once it is there."""
        if "_store" not in self.__dict__:
            self._store = open_store(self.url)
        return self._store

    def start(self) -> float:
        """Start it, or start it again; how long it took to be ready, s."""
        began = time.monotonic()
        with self.log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "beamctl", "--prefix", self.prefix, "operate"],
                cwd=ROOT, env=self._environment(), stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("READY"), line + self.log.read_text()
        return time.monotonic() - began

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start another command over the same store."""
        command = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "--prefix", self.prefix, *words],
            cwd=ROOT, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._commands.append(command)
        return command

    def say(self, *words: str) -> tuple[int, str, str]:
        """Run another command: exit code, standard output, standard error."""
        command = self.begin(*words)
        out, err = command.communicate(timeout=2 * PATIENCE_S)
        assert "Traceback" not in err, err
        return command.returncode, out, err

    def ask(self, task: str, *, review: bool = False, **choice: Any) -> Request:
        """Ask for a run."""
        key = secrets.token_hex(8)
        asked = new_request(
            self.deployment, task, Choice(**choice), "tester", key, dry_run=False, review=review
        )  # fmt: skip
        return self.store.requests.submit(asked)

    def run_of(self, request: Request) -> Run:
        """The run of a request, as soon as there is one."""
        return self.wait_for(lambda: next(iter(self.store.runs.list(request=request.id)), None))

    def wait_for(self, look: Callable[[], Any], patience_s: float = 2 * PATIENCE_S) -> Any:
        """What a look at the store gives, once it gives something."""
        deadline = time.monotonic() + patience_s
        while not (seen := look()):
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.02)
        return seen

    def wait_for_puts(self, run: Run, count: int) -> None:
        """Until a run has meant to write so many groups."""
        self.wait_for(lambda: max((i.seq for i in self.store.journal.of_run(run.id)), default=0) >= count)

    def end_of(self, run: Run) -> Run:
        """A run that has ended."""
        self.wait_for(lambda: self.store.runs.get(run.id).ended)
        return self.store.runs.get(run.id)

    def close(self) -> None:
        """End everything that was started."""
        for process in (self.process, *self._commands):
            if process is not None:
                process.kill()
                with suppress(ValueError):
                    process.communicate()
        if "_store" in self.__dict__:
            self._store.close()

    def _environment(self) -> dict[str, str]:
        return os.environ | {"BEAMCTL_STORE": self.url, "COLUMNS": "80"}


@pytest.fixture
def make_control(tmp_path: Path) -> Iterator[Callable[[SoftIoc], ControlProcess]]:
    """``make_control(ioc)``: a control process that is not started, with a store of its own."""
    made: list[ControlProcess] = []

    def make(ioc: SoftIoc) -> ControlProcess:
        made.append(ControlProcess(ioc.prefix, f"sqlite:///{tmp_path}/beamctl.db", tmp_path / "operate.log"))
        return made[-1]

    yield make
    for one in made:
        one.close()
