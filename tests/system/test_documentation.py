"""Every beamctl command in the documentation exists with the options shown; links and pictures lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {4}(beamctl [^#\n]+)", re.MULTILINE)
MAKE = re.compile(r"^ {4}make (\w+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def commands():
    """(page, command) of every line that starts with beamctl; ``a | b`` names alternatives of the last word."""
    for page in PAGES:
        for line in COMMAND.findall(page.read_text(encoding="utf-8")):
            *front, last = re.split(r"\s*\|\s*", line.strip())
            if not front:
                yield page.name, line.strip()
                continue
            stem = front[0].rsplit(" ", 1)[0]
            yield from ((page.name, f"{stem} {word}") for word in (front[0].rsplit(" ", 1)[1], *front[1:], last))


def test_the_documentation_has_commands():
    assert len(list(commands())) > 10


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_command_is_understood(page, command):
    arguments = shlex.split(command.split(">")[0])[1:]
    done = subprocess.run(
        [sys.executable, "-m", "beamctl", *arguments, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{page}: {command}\n{done.stderr}"
    assert "Usage" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    broken = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert broken == []


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {name for page in PAGES for name in MAKE.findall(page.read_text(encoding="utf-8"))}
    assert shown <= targets
    assert shown >= {"demo", "test"}
