"""How a run is asked for and told, whoever carries it out."""

from dataclasses import dataclass
from pathlib import Path

from beamctl.cli.app import EXIT_ADVISED, EXIT_NOT_REACHED
from beamctl.run.events import Advice, Outcome, RunResult


@dataclass(frozen=True)
class Terms:
    """How a run is asked for, whatever it shall do.

    Attributes:
        dry_run: the control process proposes one step and writes nothing.
        review: it waits at the end, and in conflicts, for people.
        approval: every step waits for people.
        wait_for_control: without a control process, wait for one; False: do not ask; None: do without where possible.
        note: for the record.
    """

    dry_run: bool = False
    review: bool = False
    approval: bool = False
    wait_for_control: bool | None = None
    note: str = ""

    @property
    def needs_control(self) -> str:
        """The option that nobody but a control process can follow; empty: none."""
        return "--review" if self.review else "--approval" if self.approval else ""


PLAIN = Terms()
"""nothing out of the ordinary"""


@dataclass(frozen=True)
class Report:
    """How a run is told.

    Attributes:
        watch: until its end; or only that it was asked for.
        as_json: as one JSON object.
        plot: picture to be drawn; None: none.
    """

    watch: bool = True
    as_json: bool = False
    plot: Path | None = None


def exit_code(result: RunResult, advice: Advice | None = None) -> int:
    """Of a command that has tuned, or advised."""
    if result.outcome is Outcome.REACHED or (advice is not None and advice.is_reached):
        return 0
    return EXIT_ADVISED if result.outcome is Outcome.ADVISED else EXIT_NOT_REACHED
