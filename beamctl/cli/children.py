"""Processes that belong to a command: started together, started again when they die, ended in order."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from beamctl.errors import BeamControlError

LOOK_S = 0.2
AGAIN_S = 1.0
"""pause before a process that died is started again"""
SHORT_LIFE_S = 5.0
MOST_DEATHS = 5
"""a process that dies so often shortly after its start is not started again"""
END_S = 120.0
"""how long the control process may take to restore before it is killed"""
READY = "READY"
Tell = Callable[[str], None]


@dataclass
class Child:
    """A process that is kept alive.

    Attributes:
        name: for people.
        command: its command line.
        environment: all of it.
        tell: gets every line that it says, behind its name.
        refusal: exit code with which it says that it cannot begin, and why; it is not tried again.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    tell: Tell = typer.echo
    refusal: int | None = None
    deaths: int = 0
    started: float = field(default=0.0, init=False)
    ready: str = field(default="", init=False)
    process: "subprocess.Popen[str]" = field(init=False)
    _last: list[str] = field(default_factory=list, init=False)
    _is_ready: threading.Event = field(default_factory=threading.Event, init=False)
    _reader: threading.Thread = field(init=False)

    def start(self) -> None:
        """Start it, or start it again."""
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.started = time.monotonic()

    def listen(self) -> None:
        """Tell what it says, from now on."""
        self._reader = threading.Thread(target=self._copy, name=f"{self.name}-output", daemon=True)
        self._reader.start()

    def wait_until_ready(self, patience_s: float) -> str:
        """What follows READY in its output, as soon as it is there.

        Raises:
            BeamControlError: it has ended before, or says nothing.
        """
        deadline = time.monotonic() + patience_s
        while not self._is_ready.wait(LOOK_S):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self.failure(f"did not begin within {patience_s:g} s")
        return self.ready

    def failure(self, what: str) -> BeamControlError:
        """An error with the last that it has said."""
        if self.process.poll() is not None:
            self._reader.join(1.0)  # its last words
            what = f"ended with {self.process.returncode}"
        return BeamControlError(f"{self.name} {what}:\n" + "\n".join(self._last))

    def again(self) -> None:
        """Start it once more after it has died.

        Raises:
            BeamControlError: it dies again and again, or says that it cannot begin.
        """
        if self.refusal is not None and self.process.returncode == self.refusal and not self._is_ready.is_set():
            raise self.failure("cannot begin")
        is_short = time.monotonic() - self.started < SHORT_LIFE_S
        self.deaths = self.deaths + 1 if is_short else 1
        if self.deaths >= MOST_DEATHS:
            raise self.failure(f"has died {self.deaths} times within {SHORT_LIFE_S:g} s of its start")
        self.tell(f"{self.name:8} ended with {self.process.returncode}; started again")
        time.sleep(AGAIN_S)
        self.start()
        self.listen()

    def end(self, patience_s: float = END_S) -> None:
        """Ask it to end, and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.tell(f"{self.name:8} did not end within {patience_s:g} s: killed")
            self.process.kill()
            self.process.wait()

    def _copy(self) -> None:
        for line in self.process.stdout or ():
            self._last = [*self._last[-9:], line.rstrip()]
            if line.startswith(READY):
                self.ready = line.removeprefix(READY).strip()
                self._is_ready.set()
            self.tell(f"{self.name:8} {line.rstrip()}")


def keep_alive(children: Sequence[Child], stop: threading.Event) -> None:
    """Start again what dies, until told to stop; errors as :meth:`Child.again`."""
    while not stop.wait(LOOK_S):
        for child in children:
            if child.process.poll() is not None:
                child.again()


def endings() -> list[signal.Signals]:
    """Signals with which somebody wants it all to end: Ctrl-C, SIGTERM, and a terminal that goes away."""
    known = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]  # nohup


@contextmanager
def ended_at_last(children: Sequence[Child]) -> Iterator[None]:
    """Whatever happens in the block, the last that was started ends first, and none stays; for the main thread."""
    try:
        yield
    finally:
        for number in endings():  # who is impatient would leave some of them behind
            signal.signal(number, signal.SIG_IGN)
        for child in reversed(children):
            child.end()
