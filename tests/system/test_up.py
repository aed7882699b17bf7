"""``beamctl up`` and ``demo``: everything starts together, comes back when it dies, and ends together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from beamctl.store.open import open_store
from tests.system.conftest import PATIENCE_S, ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]


class Command:
    """A command that stays, and what it says.

    Args:
        folder: where it keeps its store.
    """

    def __init__(self, folder, *words: str) -> None:
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_")} | {
            "BEAMCTL_STORE": f"sqlite:///{folder}/beamctl.db", "PYTHONPATH": str(ROOT), "COLUMNS": "200",
        }  # fmt: skip
        self.said: list[str] = []
        self.process = subprocess.Popen(
            self.argv(*words), cwd=folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    @staticmethod
    def argv(*words: str) -> list[str]:
        return [sys.executable, "-m", "beamctl", "--machine", "cafe2", "--prefix", "UP:", *words]

    def wait_for(self, text: str) -> str:
        """The next line with a text."""
        for line in self.process.stdout:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.said))

    def child(self, name: str) -> int:
        """Number of the process of one of its children."""
        argv = ["pgrep", "-P", str(self.process.pid), "-f", f"beamctl.* {name}"]
        return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end; its exit code."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=3 * PATIENCE_S)
        self.said.append(out)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.end()


@pytest.fixture
def up(tmp_path) -> Iterator[Command]:
    one = Command(tmp_path, "up", "--soft", "--seed", "3", "--demo-user", "--port", "0")
    yield one
    one.close()


def url_of(up: Command) -> str:
    return re.search(r"console and interface: (\S+)", up.wait_for("console and interface"))[1]


def test_the_service_comes_back_at_the_same_address(up):
    url = url_of(up)
    assert "with the password" in up.wait_for("log in as demo")
    os.kill(up.child("serve"), signal.SIGKILL)
    up.wait_for("serve    ended with -9; started again")
    assert url in up.wait_for("READY")
    assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
    assert httpx.get(f"{url}/api/v1/session/ways").json()["demo"]["name"] == "demo"
    assert up.end() == 0


def test_what_the_control_process_has_left_is_brought_back(up):
    """Killed in mid-run: started again by itself, and everything is restored."""
    url_of(up)
    client = subprocess.Popen(
        Command.argv("tune", "cm1-orbit", "--algorithm", "svd", "--target-mm", "0.01"),
        cwd=ROOT, env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    store = up.environment["BEAMCTL_STORE"]
    wait_for_puts(store, 2)
    os.kill(up.child("operate"), signal.SIGKILL)
    up.wait_for("operate  ended with -9; started again")
    out, _ = client.communicate(timeout=3 * PATIENCE_S)
    assert client.returncode == 1
    assert re.search(r"snapshot\s+restored", out), out
    assert up.end() == 0


def wait_for_puts(url: str, count: int) -> None:
    """Until the newest run has meant to write so many groups."""
    with open_store(url) as store, store.watch() as watch:
        while not (runs := store.runs.list(limit=1)) or len({i.seq for i in store.journal.of_run(runs[0].id)}) < count:
            watch.wait(1.0)


def test_a_port_in_use_is_said_at_once(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        one = Command(tmp_path, "up", "--soft", "--port", port)
        out, _ = one.process.communicate(timeout=2 * PATIENCE_S)
    assert one.process.returncode == 2
    said = " ".join(out.split())
    assert f"port {port}" in said
    assert "choose another --port" in said
    assert "started again" not in said


def test_a_demonstration_account_needs_a_soft_machine(tmp_path):
    one = Command(tmp_path, "up", "--demo-user")
    out, _ = one.process.communicate(timeout=PATIENCE_S)
    assert one.process.returncode == 2
    assert "--soft only" in out


def test_a_demonstration(tmp_path):
    one = Command(tmp_path, "demo", "--seed", "3", "--out", str(tmp_path / "demo"))
    out, _ = one.process.communicate(timeout=5 * PATIENCE_S)
    assert one.process.returncode == 0, out
    assert "$ curl -s -b cookies" in out
    assert 'data: {"seq":' in out
    assert "before and after" in out
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert [one["task"] for one in summary] == ["cm1-orbit", "cm2-orbit", "cm3-orbit"]
    assert all(one["final"]["rms_mm"] < 0.5 < one["initial"]["rms_mm"] for one in summary)
    assert (tmp_path / "demo" / "orbit.png").stat().st_size > 10_000


def test_a_demonstration_that_is_ended_leaves_nothing_behind(tmp_path):
    one = Command(tmp_path, "demo", "--seed", "3", "--out", str(tmp_path / "demo"))
    one.wait_for('"kind":"visited"')
    numbers = [one.child("operate"), one.child("serve")]
    assert one.end(signal.SIGINT) != 0
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
