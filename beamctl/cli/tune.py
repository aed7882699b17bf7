"""``beamctl tune``: one guarded run over Channel Access."""

import json
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from beamctl.cli.app import EXIT_ADVISED, EXIT_NOT_REACHED, EXIT_USAGE, app, deployment, fail
from beamctl.cli.display import RunDisplay, result_line
from beamctl.engine.base import Engine
from beamctl.errors import BeamControlError, EngineError
from beamctl.run.events import Advice, Outcome, RunResult
from beamctl.run.session import OrbitRun
from beamctl.wiring import ALGORITHMS, DEFAULT_AGENT, Deployment, epics_engine


@app.command()
def tune(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What to tune; see: beamctl tasks.")],
    algorithm: Annotated[str, typer.Option(help=f"Who proposes: {', '.join(ALGORITHMS)}.")] = "tbsac",
    agent: Annotated[str, typer.Option(help="Trained agent for tbsac; see: beamctl agents list.")] = DEFAULT_AGENT,
    target_mm: Annotated[
        float | None, typer.Option(min=0.01, help="Stop below this RMS instead of the task's.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Budget instead of the task's.")] = None,
    advise: Annotated[bool, typer.Option("--advise", help="Propose the next step, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
) -> None:
    """Correct a section over Channel Access, behind limits, verification and restore.

    The present settings are remembered before the first write. On failure, Ctrl-C or SIGTERM they are restored, and
    every PV is accounted for. The run ends when two independent measurements are below the target.

    Exit code: 0 target reached, 1 not reached or failed, 2 wrong usage or the machine is not fit to be tuned,
    3 advice given.
    """
    d = deployment(context)
    console = Console(highlight=False)
    try:
        result, advice = tune_once(
            d, task, algorithm, agent, target_mm, max_steps, console, advise=advise, quiet=as_json
        )
    except EngineError as error:
        if as_json:
            typer.echo(json.dumps(_nothing_done(task, algorithm, agent, error)))
        fail(error)
        raise typer.Exit(EXIT_USAGE) from error
    if as_json:
        typer.echo(json.dumps(as_object(task, algorithm, agent, result, advice)))
    else:
        console.print(result_line(result))
    raise typer.Exit(_exit_code(result, d.problem(task, target_mm).target_mm))


def tune_once(
    d: Deployment,
    task: str,
    algorithm: str,
    agent_id: str,
    target_mm: float | None,
    max_steps: int | None,
    console: Console,
    *,
    advise: bool = False,
    quiet: bool = False,
    engine: Engine | None = None,
) -> tuple[RunResult, Advice | None]:
    """One run, shown on the console unless quiet.

    Raises:
        BeamControlError: before anything was written.
    """
    problem = d.problem(task, target_mm, max_steps)
    agent = d.agent(algorithm, agent_id, task)
    layout = d.layout(task)
    own_engine = engine is None
    engine = engine or epics_engine()
    title = f"{d.task(task).title}: {agent.identity}, target {problem.target_mm:g} mm"
    display = RunDisplay(console, title, problem.target_mm, [k.name for k in layout.knobs], layout.channel_names)
    run = d.run(engine, problem, agent, (lambda _: None) if quiet else display)
    try:
        with _signals_abort(run, to_the_end=own_engine):
            if quiet:
                return _execute(run, advise=advise)
            with display:
                return _execute(run, advise=advise)
    finally:
        if own_engine:
            engine.close()


def as_object(task: str, algorithm: str, agent: str, result: RunResult, advice: Advice | None = None) -> dict[str, Any]:
    """A result for programs."""
    shown: dict[str, Any] = {
        "task": task,
        "algorithm": algorithm,
        "agent": agent if algorithm == "tbsac" else None,
        "outcome": result.outcome.value,
        "steps": result.steps,
        "initial": {"rms_mm": _number(result.initial_rms_mm)},
        "final": {"rms_mm": _number(result.final_rms_mm)},
        "restored": result.restored,
        "writes": result.writes,
        "reason": result.reason,
    }
    if result.restore:
        shown["restore"] = [
            {
                "pv": line.setpoint_pv,
                "outcome": line.outcome.value,
                "snapshot_a": _number(line.snapshot),
                "held_a": _number(line.held),
                "readback_a": _number(line.readback),
                "message": line.message,
            }
            for line in result.restore
        ]
    if advice is not None:
        shown["advice"] = {
            "proposed_a": [round(float(v), 6) for v in advice.proposed_a],
            "setpoint_a": [round(float(v), 6) for v in advice.setpoint_a],
            "predicted_rms_mm": _number(advice.predicted_rms_mm),
        }
    return shown


def _execute(run: OrbitRun, *, advise: bool) -> tuple[RunResult, Advice | None]:
    return run.advise() if advise else (run.execute(), None)


@contextmanager
def _signals_abort(run: OrbitRun, *, to_the_end: bool) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that goes away ask the run to end and to restore; a second one changes nothing.

    Args:
        run: that shall end.
        to_the_end: whether the process ends with the run; a late signal then does not cut off its report.
    """

    def ask(_number: int, _frame: object) -> None:
        run.abort()

    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        ends.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)


def _nothing_done(task: str, algorithm: str, agent: str, error: BeamControlError) -> dict[str, Any]:
    return {
        "task": task, "algorithm": algorithm, "agent": agent if algorithm == "tbsac" else None,
        "outcome": Outcome.FAILED.value, "steps": 0, "initial": {"rms_mm": None}, "final": {"rms_mm": None},
        "restored": False, "writes": 0, "reason": str(error),
    }  # fmt: skip


def _exit_code(result: RunResult, target_mm: float) -> int:
    if result.outcome is Outcome.REACHED:
        return 0
    if result.outcome is Outcome.ADVISED:
        return 0 if result.final_rms_mm < target_mm else EXIT_ADVISED
    return EXIT_NOT_REACHED


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
