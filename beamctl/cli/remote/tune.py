"""``beamctl --server URL tune``: a run that the service is asked for."""

import json

import typer
from rich.console import Console

from beamctl.api.schemas.machine import Task
from beamctl.api.schemas.runs import Request
from beamctl.cli.app import EXIT_USAGE, fail
from beamctl.cli.display import result_line
from beamctl.cli.objects import as_object, head, nothing_done
from beamctl.cli.remote.connection import connected
from beamctl.cli.remote.watching import Watched, run_of, watched
from beamctl.cli.target import Target
from beamctl.cli.terms import Report, Terms, exit_code
from beamctl.client.client import Client
from beamctl.errors import EngineError, UnknownNameError
from beamctl.wiring.kit import Choice


def tune(context: typer.Context, task: str, choice: Choice, target: Target, terms: Terms, report: Report) -> int:
    """Ask for a run and follow it; the exit code."""
    console = Console(highlight=False)
    with connected(context) as client:
        found = task_of(client, task)
        request = _ask(client, found, choice, target.of(task, is_orbit=found.kind == "orbit"), terms)
        if not report.watch:
            _tell(console, request, report)
            return 0
        quiet = None if report.as_json else console
        asked = head(task, request.algorithm, request.agent)
        try:
            done = watched(client, run_of(client, request, quiet), quiet)
        except EngineError as error:
            if report.as_json:
                typer.echo(json.dumps(nothing_done(asked, error, is_orbit=found.kind == "orbit")))
            fail(error)
            return EXIT_USAGE
    if report.as_json:
        typer.echo(json.dumps(as_object(asked, done.result, done.advice, done.run.id)))
    else:
        console.print(result_line(done.result, done.scene.rows))
    _draw(console, done, report)
    return exit_code(done.result, done.advice)


def task_of(client: Client, name: str) -> Task:
    """A task of the service.

    Raises:
        UnknownNameError: lists those that there are.
    """
    tasks = {task.name: task for task in client.machine.tasks().tasks}
    if name not in tasks:
        raise UnknownNameError("task", name, tasks)
    return tasks[name]


def _ask(client: Client, task: Task, choice: Choice, target: float | None, terms: Terms) -> Request:
    return client.runs.start(
        task.name,
        algorithm=choice.algorithm,
        agent=choice.agent,
        target=target,
        max_steps=choice.max_steps,
        step_percent=choice.step_percent,
        seed=choice.seed,
        dry_run=terms.dry_run,
        review=terms.review,
        approval=terms.approval,
        if_control_down="refuse" if terms.wait_for_control is False else "wait",
        note=terms.note,
    )


def _tell(console: Console, request: Request, report: Report) -> None:
    if report.as_json:
        typer.echo(json.dumps({"request": request.id, "run": request.run}))
    else:
        run = "" if request.run is None else f", run {request.run}"
        console.print(f"request {request.id}{run}: {request.message}")


def _draw(console: Console, done: Watched, report: Report) -> None:
    if report.plot is None:
        return
    from beamctl.cli.pictures import plot_steps

    plot_steps(done.steps, report.plot, f"{done.scene.title}: {done.run.agent}")
    if not report.as_json:
        console.print(f"written: {report.plot}")
