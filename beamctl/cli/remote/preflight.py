"""``beamctl --server URL preflight``: a check that the service is asked for."""

import math

import numpy as np
import typer
from rich.console import Console

from beamctl.api.schemas.preflight import Finding as Told
from beamctl.api.schemas.preflight import PreflightResult, PreflightSummary
from beamctl.cli.app import errors
from beamctl.cli.display import result_line
from beamctl.cli.preflight import Checked
from beamctl.cli.remote.connection import connected
from beamctl.cli.remote.watching import run_of, watched
from beamctl.client.client import Client
from beamctl.errors import UnknownNameError
from beamctl.run.events import Outcome
from beamctl.run.preflight import Finding
from beamctl.task.identification import Verdict
from beamctl.task.orbit import Array


def preflight(context: typer.Context, name: str, console: Console | None) -> Checked | None:
    """Ask for it, follow it; None: not complete, and said so."""
    with connected(context) as client:
        section = _section(client, name)
        request = client.preflight.start(section.section)
        done = watched(client, run_of(client, request, console), console)
        if done.result.outcome is not Outcome.REACHED:
            errors.print(result_line(done.result, done.scene.rows))
            return None
        found = client.preflight.get(section.section)
    return _checked(found, done.scene.title)


def _section(client: Client, name: str) -> PreflightSummary:
    """A section by its own name, by the end of it, or by its task.

    Raises:
        UnknownNameError: lists those that there are.
    """
    sections = client.preflight.list().sections
    for one in sections:
        if name in (one.section, one.task, one.section.rpartition("-")[2]):
            return one
    raise UnknownNameError("section", name, [one.section for one in sections])


def _checked(found: PreflightResult, title: str) -> Checked:
    return Checked(
        task=found.task,
        title=title,
        run=found.run,
        noise_mm=found.noise_mm,
        table=tuple(_finding(line) for line in found.table),
        correctors=tuple(found.correctors),
        channels=tuple(found.channels),
        expected_mm_per_a=_matrix(found.expected_mm_per_a),
        measured_mm_per_a=_matrix(found.measured_mm_per_a),
    )


def _finding(told: Told) -> Finding:
    known = told.model_dump() | {"verdict": Verdict(told.verdict)}
    return Finding(**known | {name: _number(known[name]) for name in ("measured_mm_per_a", "gain")})


def _matrix(rows: list[list[float | None]]) -> Array:
    return np.array([[_number(value) for value in row] for row in rows])


def _number(value: float | None) -> float:
    return math.nan if value is None else value
