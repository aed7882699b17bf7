"""``beamctl tune`` as a process against the soft IOC as a process, over Channel Access.

The judge is the IOC: every value that it published for a setpoint, seen by a client that nobody else uses.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.machine.loader import load_linac
from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment

ROOT = Path(__file__).parents[3]
MACHINE = load_linac("cafe2")
PATIENCE_S = 150.0
"""how long an answer may take that will come"""
SPEED = "4"
UNREACHABLE = ["--target-mm", "0.01", "--algorithm", "svd"]
"""a run that goes on until something ends it"""
KEYS = {"task", "algorithm", "agent", "outcome", "steps", "initial", "final", "restored", "writes"}


class Machine:
    """A soft IOC, and a client of its own that sees every setpoint."""

    def __init__(self, ioc, task: str = "cm1-orbit") -> None:
        self.ioc = ioc
        self.layout = Deployment(Settings(prefix=ioc.prefix)).kit(task).layout()
        self.setpoints = [k.setpoint for k in self.layout.knobs]
        self.engine = EpicsEngine(["127.0.0.1"])
        others = [self.layout.heartbeat, self.layout.permit, ioc.name(MACHINE.simulation.seed)]
        self.engine.start([*self.setpoints, *others], PATIENCE_S)
        self._processes: list[subprocess.Popen] = []

    def redraw(self, seed: int) -> None:
        """Become another machine, its supplies at their start."""
        self.put(self.ioc.name(MACHINE.simulation.seed), seed)
        self.beats(20)  # the jump of the setpoints has been published
        self.found = self.held()
        self.marks = self._seq()

    def put(self, pv: str, value: float) -> None:
        assert self.engine.write({pv: value}, PATIENCE_S)[pv].outcome is Outcome.OK

    def held(self) -> dict[str, float]:
        """What caget says of every setpoint, A."""
        return {pv: r.number for pv, r in self.engine.read(self.setpoints, PATIENCE_S).items()}

    def puts(self, pv: str, since: int | None = None) -> list:
        """What the IOC has published for a setpoint since the redraw."""
        first = self.marks[pv] if since is None else since
        last = self.engine.latest([pv])[pv].seq
        return self.engine.wait([pv], {pv: first}, last - first, 0.0)[pv] if last > first else []

    def wait_for_puts(self, count: int) -> None:
        """Until the run has written to the first knob so many times."""
        self.engine.wait(self.setpoints[:1], self.marks, count, PATIENCE_S)

    def beats(self, count: int) -> None:
        """So many heartbeats of the IOC."""
        pv = self.layout.heartbeat
        self.engine.wait([pv], {pv: self.engine.latest([pv])[pv].seq}, count, PATIENCE_S)

    def breaches(self) -> list[tuple[str, float, float]]:
        """Setpoints outside the limits, or more than a step from the one before."""
        found = []
        for knob in self.layout.knobs:
            before = self.found[knob.setpoint]
            for reading in self.puts(knob.setpoint):
                if not (knob.lo <= reading.number <= knob.hi and abs(reading.number - before) <= knob.step + 1e-4):
                    found.append((knob.setpoint, before, reading.number))
                before = reading.number
        return found

    def off(self) -> set[str]:
        """Setpoints that are not as found."""
        return {pv for pv, value in self.held().items() if abs(value - self.found[pv]) > 1e-3}

    def begin(self, *options: str, task: str = "cm1-orbit") -> subprocess.Popen:
        """Start ``beamctl tune``."""
        process = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "--prefix", self.ioc.prefix, "tune", task, *options],
            cwd=ROOT, env=os.environ | {"COLUMNS": "200"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def _seq(self) -> dict[str, int]:
        return {pv: r.seq for pv, r in self.engine.latest(self.setpoints).items()}

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self.engine.close()


def end_of(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, standard output and error."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def result_of(process: subprocess.Popen) -> tuple[int, dict]:
    """Exit code and the one JSON object."""
    code, out, err = end_of(process)
    lines = out.splitlines()
    assert len(lines) == 1, (out, err)
    result = json.loads(lines[0])
    assert result.keys() >= KEYS
    assert set(result["initial"]) == set(result["final"]) == {"rms_mm"}
    return code, result


def outcomes(result: dict) -> dict[str, str]:
    return {line["pv"]: line["outcome"] for line in result["restore"]}


@pytest.fixture(scope="module")
def shared_ioc(start_soft_ioc):
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", SPEED)
    yield ioc
    ioc.process.close()


@pytest.fixture
def machine(shared_ioc) -> Iterator[Machine]:
    """The shared IOC as machine 3, its permit high."""
    one = Machine(shared_ioc)
    one.redraw(3)
    yield one
    one.put(one.layout.permit, 1)
    one.close()


@pytest.fixture
def own_machine(start_soft_ioc) -> Iterator[Machine]:
    """A machine whose IOC the test may freeze or kill."""
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", SPEED)
    one = Machine(ioc)
    one.redraw(3)
    yield one
    one.close()
    ioc.process.thaw()
    ioc.process.close()
