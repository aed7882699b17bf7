"""``beamctl preflight`` over Channel Access: the planted fault is named, and the run after it works around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
PATIENCE_S = 200.0
SEED = "7"
"""in this machine DCH_05 of cryomodule 1 has the wrong polarity"""
PLANTED = ("DCH_05", "reversed")


@pytest.fixture(scope="module")
def reversed_ioc(start_soft_ioc):
    ioc = start_soft_ioc("--machine", "cafe2", "--scenario", "reversed", "--seed", SEED, "--speed", "4")
    yield ioc
    ioc.process.close()


@pytest.fixture(scope="module")
def beamctl(reversed_ioc, tmp_path_factory):
    """Runs a command on that machine, all with one store; its exit code and what it printed."""
    folder = tmp_path_factory.mktemp("preflight")
    environment = {**os.environ, "BEAMCTL_STORE": f"sqlite:///{folder / 'store.db'}", "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", "beamctl", "--machine", "cafe2", "--prefix", reversed_ioc.prefix, *words]
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        print(done.stdout[-3000:], done.stderr[-2000:])
        return done.returncode, done.stdout

    return run


@pytest.fixture(scope="module")
def checked(beamctl, tmp_path_factory):
    """The findings of a preflight of cm1."""
    plot = tmp_path_factory.mktemp("plots") / "response.png"
    code, out = beamctl("preflight", "cm1", "--json", "--plot", str(plot))
    assert plot.stat().st_size > 10_000
    return code, json.loads(out.splitlines()[0])


def test_the_planted_fault_is_named_and_nothing_else(checked):
    code, found = checked
    assert code == 1, "faults were found"
    assert [(f["name"], f["verdict"]) for f in found["faults"]] == [PLANTED]
    assert found["faults"][0]["confidence"] > 0.99
    assert len(found["table"]) == 20
    assert {f["verdict"] for f in found["table"] if f["name"] != PLANTED[0]} == {"good"}


def test_the_run_after_it_reaches_the_target_and_replays(checked, beamctl):
    code, out = beamctl("tune", "cm1-orbit", "--json")
    result = json.loads(out)
    assert code == 0, result
    assert result["final"]["rms_mm"] < 0.5
    for run in (1, 2):
        code, out = beamctl("runs", "replay", str(run))
        assert code == 0, out
        assert "identical" in out


def test_a_section_that_does_not_exist_is_refused(beamctl):
    code, _ = beamctl("preflight", "cm9")
    assert code == 2
