"""The same run from the same start, again and again: only steps of the same number are worth comparing."""

import itertools
import statistics
import threading
from dataclasses import dataclass, field

from beamctl.store.states import Verb
from tests.system.conftest import ControlProcess

STEPS = 10
"""of a round; the first ones move the beam far and take twice as long as the last ones"""
LOOK_S = 0.2
PATIENCE_S = 120.0


@dataclass
class Rounds:
    """Asks the control process past the service, so that the service may be loaded, or dead.

    Attributes:
        control: at work.
        task: with an algorithm that moves the same way every time.
        seconds: by round, by step.
        states: how the rounds ended.
    """

    control: ControlProcess
    task: str
    seconds: list[list[float]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def go_on(self, stop: threading.Event) -> None:
        """One after the other, until it is said to stop; the last one is carried to its end."""
        while not stop.is_set():
            self.one()

    def one(self) -> None:
        """Steps as many as wanted, then aborted: the machine is back where it was found."""
        store, wait = self.control.store, threading.Event().wait
        run = self.control.run_of(self.control.ask(self.task, algorithm="svd", target=0.01, preflight=0))
        found: list[float] = []
        while len(found) < STEPS and store.runs.get(run.id).ended is None:
            wait(LOOK_S)
            visits = store.pages.events(run.id, ("visited",))
            found = [b.payload["seconds"] - a.payload["seconds"] for a, b in itertools.pairwise(visits)]
        if store.runs.get(run.id).ended is None:
            store.commands.send(run.id, Verb.ABORT, "tests")
        self.states.append(self.control.end_of(run).state.value)
        self.seconds.append(found[:STEPS])

    @property
    def typical(self) -> list[float]:
        """Median over the rounds of every step, s."""
        return [statistics.median(step) for step in zip(*self.seconds, strict=False)]


def slower(than: Rounds, rounds: Rounds) -> str:
    """How much longer the same steps took, for people."""
    pairs = list(zip(than.typical, rounds.typical, strict=False))
    before, after = (sum(side) for side in zip(*pairs, strict=True))
    return (
        f"{len(pairs)} steps of a round: {before:.2f} s (median of {len(than.seconds)} rounds) before, "
        f"{after:.2f} s ({len(rounds.seconds)} rounds) meanwhile: {100 * (after / before - 1):+.1f} %; "
        f"rounds ended {', '.join(sorted(set(than.states + rounds.states)))}"
    )
