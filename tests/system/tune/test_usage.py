"""What is asked for wrongly, and what is not loaded."""

import json
import shutil
import subprocess
import sys

import pytest

from beamctl.agent.registry import SHIPPED
from beamctl.wiring.orbit import DEFAULT_AGENT
from tests.system.tune.conftest import PATIENCE_S, ROOT, end_of

pytestmark = pytest.mark.system

LOADED = """
import json, sys
from beamctl.cli.app import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "known"),
        [
            (["cm9-orbit"], ["cm1-orbit", "cm2-orbit", "cm3-orbit"]),
            (["cm1-orbit", "--agent", "nobody"], [DEFAULT_AGENT]),
            (["cm1-orbit", "--algorithm", "guess"], ["tbsac", "bls", "svd"]),
        ],
    )
    def test_unknown_names_list_the_known_ones(self, options, known):
        argv = [sys.executable, "-m", "beamctl", "tune", *options]
        code, out, err = end_of(
            subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        assert code == 2
        assert out == ""
        assert [name for name in known if name not in err] == []

    def test_a_tampered_agent(self, machine, tmp_path):
        folder = tmp_path / DEFAULT_AGENT
        shutil.copytree(SHIPPED / DEFAULT_AGENT, folder)
        content = bytearray((folder / "policy.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "policy.onnx").write_bytes(content)
        code, _, err = end_of(machine.begin("--agent", str(folder)))
        assert code == 2, err
        assert "SHA-256" in err
        assert machine._seq() == machine.marks

    def test_nothing_heavy_is_loaded(self, machine):
        answer = subprocess.run(
            [sys.executable, "-c", LOADED, "--prefix", machine.ioc.prefix, "tune", "cm1-orbit", "--json"],
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        code, loaded = json.loads(answer.stdout.splitlines()[-1])
        assert code == 0
        heavy = {"torch", "matplotlib", "numba", "fastapi", "stable_baselines3", "gymnasium", "onnx", "caproto", "ioc"}
        assert heavy & set(loaded) == set()
