"""What was asked for at a service, from the request to the end of its run; leaving disturbs nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console

from beamctl.api.schemas.runs import Request, Run
from beamctl.cli.app import EXIT_LEFT, EXIT_USAGE, errors
from beamctl.cli.remote.follow import RemoteFollower, Scene, scene
from beamctl.client.client import Client
from beamctl.errors import ConflictError, EngineError, LeaseHeldError
from beamctl.run.events import Advice, RunResult, Stepped


@dataclass(frozen=True)
class Watched:
    """A run at its end.

    Attributes:
        run: as the service has it.
        scene: what it was shown with.
        steps: every reading.
        result: how it ended.
        advice: what a dry run has proposed; None where it was none.
    """

    run: Run
    scene: Scene
    steps: list[Stepped]
    result: RunResult
    advice: Advice | None

    @property
    def agent(self) -> str:
        """The trained agent that was asked for, or would have been."""
        return str(self.run.choice.get("agent") or "")


def run_of(client: Client, request: Request, console: Console | None) -> int:
    """The number of the run, as soon as there is one; Ctrl-C takes the request back.

    Raises:
        LeaseHeldError: refused, or cancelled by somebody.
    """
    with _taking_back(client, request):
        if console is not None:
            console.print(f"request {request.id}: {request.message}")
        settled = client.requests.settled(request.id)
    if settled.run is None:
        raise LeaseHeldError(f"request {request.id} was {settled.state.value}: {settled.reason}")
    return settled.run


def watched(client: Client, run: int, console: Console | None) -> Watched:
    """The run at its end; Ctrl-C leaves it to go on.

    Raises:
        EngineError: it never began; nothing was written.
    """
    with leaving(run):
        seen = scene(client, run)
        follower = RemoteFollower(client, seen)
        ended, result = follower.follow(console)
    if result is None:
        raise EngineError(ended.reason)
    return Watched(ended, seen, follower.story.steps, result, follower.story.advice)


@contextmanager
def leaving(run: int) -> Iterator[None]:
    """Ctrl-C ends the watching, not the run."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(f"run {run} goes on without being watched; to end it and restore what it found: "
                     f"beamctl abort {run}")  # fmt: skip
        raise typer.Exit(EXIT_LEFT) from None


@contextmanager
def _taking_back(client: Client, request: Request) -> Iterator[None]:
    """Ctrl-C takes back what has not begun, so that it does not begin when nobody expects it any more."""
    try:
        yield
    except KeyboardInterrupt:
        try:
            client.requests.cancel(request.id)
        except ConflictError:
            errors.print(f"request {request.id} has just begun; its run is in: beamctl runs list")
            raise typer.Exit(EXIT_LEFT) from None
        errors.print(f"request {request.id} is taken back, nothing was written")
        raise typer.Exit(EXIT_USAGE) from None
