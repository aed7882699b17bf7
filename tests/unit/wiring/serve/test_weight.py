"""What the service loads to know all this: nothing that reaches a machine, nothing that trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
NEVER = {
    "epics", "epicscorelibs", "caproto", "torch", "matplotlib", "numba", "stable_baselines3", "gymnasium", "onnx",
    "botorch", "gpytorch", "xopt",
}  # fmt: skip
USED = """
import json, sys
from datetime import UTC, datetime
from beamctl.api.app import create_app
from beamctl.api.schemas.advice import AskAdvice
from beamctl.api.schemas.runs import NewRequest
from beamctl.errors import BeamControlError
from beamctl.settings import Settings
from beamctl.store.live import LiveRow
from beamctl.store.open import open_store
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.serve.machines import DescribedMachines

def tried(work):
    try:
        work()
    except BeamControlError as error:
        print(type(error).__name__, error, file=sys.stderr)

d = Deployment(Settings())
with open_store(f"sqlite:///{sys.argv[1]}/beamctl.db") as store:
    machines = DescribedMachines(d, store)
    machines.tasks, machines.sections, machines.beamline
    for agent in machines.agents():
        assert machines.agent(agent.id).is_verified
    for task in d.tasks:
        kit = d.kit(task)
        k, n = len(kit.layout().knobs), len(kit.layout().channels)
        for algorithm in kit.algorithms:
            tried(lambda: machines.request(NewRequest(task=task, algorithm=algorithm), "anna", "key"))
        row = LiveRow(kit.key, {
            "knobs": [knob.name for knob in kit.layout().knobs], "setpoint_a": [1.0] * k, "readback_a": [1.0] * k,
            "knob_severity": [0] * k, "median": [0.5 + 0.1 * i for i in range(n)], "valid": [True] * n, "unfit": [],
        }, datetime.now(UTC), 1)
        for at in range(0, len(kit.algorithms), 6):
            asked = AskAdvice(task=task, algorithms=list(kit.algorithms[at : at + 6]))
            machines.advise(asked, row)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
def test_nothing_heavy_is_loaded(tmp_path):
    """Not even after every question that a client can ask."""
    (tmp_path / "xopt.py").write_text("raise SystemError('loaded')\n")
    path = os.pathsep.join(map(str, (tmp_path, ROOT)))
    answer = subprocess.run(
        [sys.executable, "-c", USED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    loaded = set(json.loads(answer.stdout.splitlines()[-1]))
    assert {"beamctl", "fastapi", "onnxruntime"} <= loaded
    assert NEVER & loaded == set()
