"""``beamctl serve`` as a process over somebody else's store, and people with API keys for it."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from beamctl.api.auth.tokens import KEY, new_token, token_hash
from beamctl.store.open import Store
from beamctl.store.states import Role

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


class ServeProcess:
    """The service.

    Args:
        prefix: of the PVs.
        store: URL.
        log: file for what it says.

    Attributes:
        port: where it listens, the same after every start.
        process: the present one.
    """

    def __init__(self, prefix: str, store: str, log: Path) -> None:
        self._prefix = prefix
        self._store = store
        self._log = log
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory_mb(self) -> float:
        """Resident now."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    @property
    def cpu_s(self) -> float:
        """Spent since its start."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def start(self) -> float:
        """Start it, or start it again; how long it took to be ready, s."""
        began = time.monotonic()
        with self._log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "beamctl", "--prefix", self._prefix, "serve", "--port", str(self.port)],
                cwd=ROOT, env=os.environ | {"BEAMCTL_STORE": self._store}, stdout=subprocess.PIPE, stderr=errors,
                text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("READY"):
                self.port = int(line.rpartition(":")[2])
                return time.monotonic() - began
        raise AssertionError(self._log.read_text()[-3000:])

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> float:
        """Ask it to end; how long that took, s."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)
        return time.monotonic() - began

    def said(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def client(self, key: str) -> httpx.Client:
        """Somebody who shows an API key."""
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=PATIENCE_S)


def person(store: Store, name: str, role: Role) -> str:
    """A new account, and an API key as mighty as it."""
    store.users.create(name, role, None, principal="tests")
    token = new_token(KEY)
    expires = datetime.now(UTC) + timedelta(days=1)
    store.keys.create(token_hash(token), token[:12], name, "tests", role, expires, name)
    return token
