"""Soft IOC, control process and service as three processes, as ``beamctl up --soft`` has them, with a log of puts."""

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beamctl.store.states import Role
from tests.conftest import IocProcess
from tests.system.conftest import ControlProcess
from tests.system.serving import ServeProcess, person

TASKS = ("cm1-orbit", "cm2-orbit", "cm3-orbit")
ENDLESS = {"algorithm": "svd", "target": 0.01, "max_steps": 1000, "preflight": 0}
PATIENCE_S = 120.0


class Plant:
    """All three.

    Args:
        folder: for store and logs.
        accounts: viewers, each with a key.

    Attributes:
        keys: of the viewers.
        operator: key of somebody who may command.
    """

    def __init__(self, folder: Path, accounts: int) -> None:
        prefix = f"L{secrets.token_hex(3)}:"
        argv = [sys.executable, "-m", "ioc", "--die-with-parent", "--prefix", prefix, "--seed", "7"]
        self._puts = folder / "puts"
        self._ioc = IocProcess([*argv, "--put-log", str(self._puts)], "READY ", folder / "ioc.log", {})
        self.control = ControlProcess(prefix, f"sqlite:///{folder}/beamctl.db", folder / "operate.log")
        self.serve = ServeProcess(prefix, self.control.url, folder / "serve.log")
        self.control.start()
        self.keys = [person(self.control.store, f"viewer-{n}", Role.VIEWER) for n in range(accounts)]
        self.operator = person(self.control.store, "operator", Role.OPERATOR)
        self.serve.start()
        self._client = self.serve.client(self.operator)
        self.sections = {task: self.control.deployment.kit(task).key for task in TASKS}
        self.knobs = {t: {k.setpoint for k in self.control.deployment.kit(t).layout().knobs} for t in TASKS}

    def begin(self, task: str) -> int:
        """A run that goes on until somebody ends it; its number."""
        made = self._client.post("/runs", json={"task": task, **ENDLESS}).raise_for_status().json()
        return int(wait_for(lambda: self._client.get(f"/requests/{made['id']}").json()["run"]))

    def last_put(self, task: str) -> float:
        """When the IOC was last sent a setpoint of a task, wall clock; 0: never."""
        lines = map(str.split, self._puts.read_text().splitlines())
        return max((float(at) for at, pv, _ in lines if pv in self.knobs[task]), default=0.0)

    def again(self, task: str, run: int) -> int:
        """The next run of a task, as soon as this one has ended."""
        wait_for(lambda: self.control.store.runs.get(run).ended, 3600.0)
        return self.begin(task)

    def close(self) -> None:
        self._client.close()
        self.serve.close()
        self.control.close()
        self._ioc.close()


@contextmanager
def plant(accounts: int) -> Iterator[Plant]:
    """Started, and ended."""
    with TemporaryDirectory() as folder:
        one = Plant(Path(folder), accounts)
        try:
            yield one
        finally:
            one.close()


def wait_for(look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What a look gives, once it gives something."""
    deadline = time.monotonic() + patience_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
    return seen


def percentile(values: list[float], share: float) -> float:
    """NaN where there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
