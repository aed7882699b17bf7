"""The client is for other people's programs: it loads little."""

import json
import subprocess
import sys

HEAVY = {
    "fastapi", "starlette", "uvicorn", "numpy", "scipy", "sqlalchemy", "alembic", "epics", "caproto", "onnxruntime",
    "numba", "torch", "matplotlib", "typer", "yaml", "pydantic_settings",
}  # fmt: skip
LOADED = """
import json, sys
import beamctl.client.client
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_nothing_heavy_is_loaded():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    assert HEAVY & set(json.loads(done.stdout)) == set()
