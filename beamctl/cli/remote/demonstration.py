"""What ``beamctl demo`` does at the service that it has started."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from beamctl.cli import curl
from beamctl.cli.display import result_line
from beamctl.cli.remote.follow import RemoteFollower, scene
from beamctl.cli.remote.watching import Watched
from beamctl.client.client import Client
from beamctl.errors import BeamControlError, EngineError, LeaseHeldError


def log_in(client: Client) -> None:
    """As the demonstration account.

    Raises:
        BeamControlError: there is none.
    """
    demo = client.session.ways().demo
    if demo is None:
        raise BeamControlError(f"{client.url} has no demonstration account: beamctl up --soft --demo-user")
    client.session.log_in(demo["name"], demo["password"])


def tune_all(client: Client, tasks: Sequence[str], console: Console) -> dict[str, Watched]:
    """One task after the other, shown on the console; the first by curl where that is installed."""
    done: dict[str, Watched] = {}
    for task in tasks:
        if task == curl.TASK and shutil.which("curl") is not None:
            done[task] = _by_curl(client, console)
        else:
            done[task] = _by_client(client, task, console)
        console.print(result_line(done[task].result, done[task].scene.rows))
    return done


def _by_client(client: Client, task: str, console: Console) -> Watched:
    request = client.requests.settled(client.runs.start(task).id)
    if request.run is None:
        raise LeaseHeldError(f"{task}: {request.state.value}: {request.reason}")
    return _told(client, request.run, console)


def _by_curl(client: Client, console: Console) -> Watched:
    """Exactly the lines of the README."""
    with TemporaryDirectory() as folder:  # for the cookies
        for call in curl.CALLS:
            console.print(Text(f"$ {call}", "bold"))
            _shell(curl.script(client.url, call), Path(folder), console)
    return _told(client, client.runs.list(limit=1).runs[0].id, None)


def _shell(line: str, folder: Path, console: Console) -> None:
    """Run a line, and show what it says as it comes, each line as far as there is room."""
    with subprocess.Popen(["sh", "-c", line], cwd=folder, stdout=subprocess.PIPE, text=True) as shell:
        for said in shell.stdout or ():
            console.print(Text(said.rstrip(), "dim"), no_wrap=True, overflow="ellipsis")
    console.print()
    if shell.returncode != 0:
        raise BeamControlError(f"{line}\nended with {shell.returncode}")


def _told(client: Client, run: int, console: Console | None) -> Watched:
    """A run at its end, from its events.

    Raises:
        EngineError: it never began.
    """
    seen = scene(client, run)
    follower = RemoteFollower(client, seen)
    ended, result = follower.follow(console)
    if result is None:
        raise EngineError(ended.reason)
    return Watched(ended, seen, follower.story.steps, result, follower.story.advice)
