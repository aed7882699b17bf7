"""Isolation for every test: Channel Access stays on loopback, on ports that belong to this process alone.

libca reads its variables once, so they are set here, while pytest collects, before anything can load it. Each
worker of pytest-xdist is a process and imports this file anew.
"""

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"
IOC_COUNT = 6
"""IOCs that one worker may run at the same time; each needs a port that libca was told of"""
START_TIMEOUT_S = 60.0
_PORTS = range(20000, 32000)  # below the range from which Linux gives ports to clients

_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


def _free_ports(count: int) -> list[int]:
    candidates = random.SystemRandom().sample(_PORTS, 50 * count)
    ports = [port for port, _ in zip(filter(_is_free, candidates), range(count), strict=False)]
    if len(ports) < count:
        raise RuntimeError(f"only {len(ports)} of {count} free ports found between {_PORTS[0]} and {_PORTS[-1]}")
    return ports


def _isolate() -> list[int]:
    """Replace every inherited EPICS variable; returns the ports for the IOCs of this process."""
    repeater, *ports = _free_ports(1 + IOC_COUNT)
    for name in [name for name in os.environ if name.startswith(("EPICS_", "PYEPICS_"))]:
        del os.environ[name]
    os.environ.update(
        EPICS_CA_ADDR_LIST=" ".join(f"{LOOPBACK}:{port}" for port in ports),
        EPICS_CA_AUTO_ADDR_LIST="NO",
        EPICS_CA_SERVER_PORT=str(ports[0]),
        EPICS_CA_REPEATER_PORT=str(repeater),
        EPICS_CAS_INTF_ADDR_LIST=LOOPBACK,
        EPICS_CAS_SERVER_PORT=str(ports[0]),
        EPICS_CAS_BEACON_PORT=str(repeater),
        EPICS_CAS_BEACON_ADDR_LIST=LOOPBACK,
        EPICS_CAS_AUTO_BEACON_ADDR_LIST="NO",
    )
    return ports


_free: list[int] = _isolate()
os.environ["BEAMCTL_STORE"] = "sqlite:////nowhere/beamctl.db"  # whoever needs a store has one of its own

# Whoever starts the tests in the background may have signals ignored, which processes under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
_running: list["IocProcess"] = []


class IocProcess:
    """An IOC in a process of its own, on one port of loopback; even frozen it dies with the test process.

    Args:
        argv: command line of the IOC.
        ready: a line of its standard output that contains this says that it serves.
        log: file for its output.
        env: further environment variables.
    """

    def __init__(self, argv: Sequence[str], ready: str, log: Path, env: Mapping[str, str]) -> None:
        self.port = _free.pop()
        self.log = log
        self._rest = b""
        port = {"EPICS_CAS_SERVER_PORT": str(self.port), "EPICS_CA_SERVER_PORT": str(self.port)}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _DIE_WITH_PARENT, *argv],
                env={**os.environ, **port, **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        _running.append(self)
        try:
            self._expect(ready)
        except BaseException:
            self.close()
            raise

    def command(self, word: str) -> None:
        """Have the IOC do something; returns when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        self._expect(f"done {word}")

    def freeze(self) -> None:
        """Stop the process: its connections stay, nothing answers. Returns when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and give its port back; may follow :meth:`kill`."""
        if self not in _running:
            return
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        _running.remove(self)
        _free.insert(0, self.port)

    def output(self) -> str:
        """The end of what the IOC wrote."""
        return self.log.read_text(errors="replace")[-5000:]

    def _expect(self, text: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            line = self._line(deadline)
            if text in line:
                return

    def _line(self, deadline: float) -> str:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(pipe, 4096) if ready else b""
            if not data:
                raise RuntimeError(f"the IOC {'ended' if ready else 'is silent'}:\n{self.output()}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        with self.log.open("ab") as log:
            log.write(line + b"\n")
        return line.decode(errors="replace")


StartIoc = Callable[..., IocProcess]


@pytest.fixture(scope="session")
def start_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartIoc]:
    """Start an IOC by its command line: ``start_ioc([sys.executable, "ioc.py"], ready="serving")``."""
    logs = tmp_path_factory.mktemp("ioc")
    started: list[IocProcess] = []

    def start(argv: Sequence[str], ready: str = "IOC: ready", env: Mapping[str, str] | None = None) -> IocProcess:
        ioc = IocProcess(argv, ready, logs / f"{len(started)}.log", env or {})
        started.append(ioc)
        return ioc

    yield start
    for ioc in started:
        ioc.close()


@pytest.fixture(scope="module")
def served_port() -> Iterator[int]:
    """A port where clients look for PVs, for a server in this process."""
    port = _free.pop()
    yield port
    _free.insert(0, port)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show with a failure what the IOCs wrote."""
    report = yield
    if report.failed:
        report.sections.extend((f"IOC on port {ioc.port}", ioc.output()) for ioc in _running)
    return report
