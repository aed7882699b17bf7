"""The goal of a run, as it is given on the command line."""

from dataclasses import dataclass
from typing import Annotated

import typer

TargetMm = Annotated[
    float | None, typer.Option(min=0.01, help="Orbit tasks: stop below this RMS instead of the task's.")
]
TargetTransmission = Annotated[
    float | None,
    typer.Option(min=0.01, max=0.999, help="Transmission tasks: what the end is judged by instead of the task's."),
]


@dataclass(frozen=True)
class Target:
    """A goal of either kind, or none."""

    mm: float | None
    transmission: float | None

    def of(self, task: str, *, is_orbit: bool) -> float | None:
        """The number, for a task of one kind.

        Raises:
            BadParameter: it is of the other kind: a mistake, not a number to be guessed at.
        """
        wrong = self.transmission if is_orbit else self.mm
        if wrong is None:
            return self.mm if is_orbit else self.transmission
        names = ("--target-mm", "--target-transmission")
        right, other = names if is_orbit else names[::-1]
        raise typer.BadParameter(
            f"{task} has {'an RMS' if is_orbit else 'a transmission'} as its goal: {right}, not {other}"
        )
