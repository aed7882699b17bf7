"""The calls that the documentation shows, as they are written there, against what it says to start."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from beamctl.cli import curl
from tests.system.conftest import PATIENCE_S, ROOT

pytestmark = pytest.mark.system

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs" / "how-to" / "call-the-service.md").read_text(encoding="utf-8")
UP = re.search(r"^ {4}beamctl (up [^#\n]*)", HOW_TO, re.MULTILINE)[1].split()
ADDRESS = "http://127.0.0.1:8470"


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Of what the documentation says to start, at a port of its own."""
    folder = tmp_path_factory.mktemp("up")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_")}
    environment |= {"BEAMCTL_STORE": f"sqlite:///{folder}/beamctl.db", "PYTHONPATH": str(ROOT)}
    up = subprocess.Popen(
        [sys.executable, "-m", "beamctl", *UP, "--port", "0"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = re.search(r"console and interface: (\S+)", line_with(up, "console and interface"))
        yield said[1]
    finally:
        up.terminate()
        up.communicate(timeout=2 * PATIENCE_S)


def line_with(process, text: str) -> str:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError("".join(lines))


def blocks(page: str, language: str) -> str:
    """All of one language in one piece."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def said_by(argv: list[str], script: str, address: str, folder: Path) -> str:
    done = subprocess.run(
        [*argv, script.replace(ADDRESS, address)],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=3 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_up_is_shown_the_same_everywhere():
    assert " ".join(["beamctl", *UP]) in README


def test_the_readme_shows_what_the_demonstration_does():
    lines = textwrap.indent("\n".join([curl.ADDRESS, *curl.CALLS]), "    ")
    assert lines in README


def test_curl_of_the_readme(address, tmp_path):
    out = said_by(["sh", "-ec"], "\n".join([curl.ADDRESS, *curl.CALLS]), address, tmp_path)
    assert '"via":"session"' in out
    assert '"kind":"visited"' in out
    result = out.splitlines()[-1]
    assert '"task":"cm1-orbit"' in result
    assert '"outcome":"reached"' in result


def test_shell_of_the_how_to(address, tmp_path):
    out = said_by(["sh", "-ec"], blocks(HOW_TO, "sh"), address, tmp_path)
    assert '"options":[' in out
    asked = re.findall(r'^\{"id":(\d+).*"task":"cm1-orbit"', out.replace("}{", "}\n{"), re.MULTILINE)
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert '"max_steps":2' in out.splitlines()[-1]
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_python_of_the_how_to(address, tmp_path):
    out = said_by([sys.executable, "-W", "error", "-c"], blocks(HOW_TO, "python"), address, tmp_path)
    assert re.search(r"^reached \d+ puts$", out, re.MULTILINE), out
    assert "is_fresh=True" in out
    assert "enough" in out
    assert "conflict 409" in out
    assert "aborted by demo" in out
    assert "invalid body.target" in out
