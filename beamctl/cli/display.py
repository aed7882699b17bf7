"""What a person sees while a run goes on: a table that grows by a row per step."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from beamctl.cli.rows import Rows
from beamctl.engine.reader import Array
from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Advice, Armed, Changed, Event, Held, Outcome, Proposed, Restored, RunResult, Stepped


class RunDisplay:
    """Live table of one run.

    Args:
        console: where to.
        title: shown above.
        rows: what is shown of a step.
        knobs: names for people.
    """

    def __init__(self, console: Console, title: str, rows: Rows, knobs: list[str]) -> None:
        self._console = console
        self._rows = rows
        self._knobs = knobs
        self._status = Text("connecting ...")
        self._table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        self._table.add_column("step", justify="right", no_wrap=True)
        self._table.add_column("time\ns", justify="right", no_wrap=True)
        for heading, justify in rows.columns:
            self._table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
        self._table.add_column("")
        self._live = Live(self._picture(), console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> "RunDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status = Text("")
        self._refresh()
        self._live.stop()
        if not self._console.is_terminal:
            self._console.print()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Armed():
                self._status = Text(f"armed: {event.identity}, beam {event.current_ma:.2f} mA; reading ...")
            case Stepped():
                self._add(event)
            case Held():
                self._status = Text(_held(event), "yellow")
            case Changed():
                self._status = Text(f"{event.state.value}: {event.reason}", "yellow")
            case Proposed():
                before = event.setpoint_a - event.change_a
                table = self._proposal(f"proposed for {event.what}", before, event.setpoint_a)
                if event.predicted:
                    table.caption = f"expected by the model {self._rows.words(event.predicted)}"
                self._live.console.print(table)
            case Restored():
                self._live.console.print(restore_table(event))
            case Advice():
                self._live.console.print(self._advice_table(event))
        self._refresh()

    def _add(self, step: Stepped) -> None:
        self._table.add_row(str(step.step), f"{step.seconds:.1f}", *self._rows.row(step))
        self._status = Text("next step ...")

    def _advice_table(self, advice: Advice) -> Table:
        table = self._proposal("proposed, nothing written", advice.setpoint_a, advice.proposed_a)
        expected = f", expected by the model {self._rows.words(advice.predicted)}" if advice.predicted else ""
        table.caption = f"now {self._rows.words(advice.figures)}{expected}"
        if advice.note:
            table.caption += f"\n{advice.note}"
        return table

    def _proposal(self, title: str, before: Array, after: Array) -> Table:
        table = Table(title=title, title_justify="left")
        for column in ("knob", "now A", "proposed A", "change A"):
            table.add_column(column, justify="right")
        for name, now, new in zip(self._knobs, before, after, strict=True):
            table.add_row(name, f"{now:.3f}", f"{new:.3f}", f"{new - now:+.3f}")
        return table

    def _picture(self) -> RenderableType:
        return Group(self._table, self._status) if self._status.plain else self._table

    def _refresh(self) -> None:
        self._live.update(self._picture(), refresh=True)


def _held(event: Held) -> str:
    until = (
        "" if event.restore_in_s is None else f", restored in {max(event.restore_in_s, 0.0):.0f} s unless good again"
    )
    return f"holding for {event.seconds:.0f} s, nothing is written{until}: {event.reason}"


def restore_table(event: Restored) -> Table:
    """What became of every knob."""
    table = Table(title="restore", title_justify="left")
    for column in ("setpoint", "snapshot A", "now A", "readback A", "outcome"):
        table.add_column(column, justify="left" if column in ("setpoint", "outcome") else "right")
    colours = {RestoreOutcome.RESTORED: "green", RestoreOutcome.UNTOUCHED: "green", RestoreOutcome.FOREIGN: "yellow"}
    for line in event.lines:
        outcome = line.outcome.value + (f": {line.message}" if line.message else "")
        table.add_row(
            line.setpoint_pv, f"{line.snapshot:.3f}", f"{line.held:.3f}", f"{line.readback:.3f}",
            Text(outcome, colours.get(line.outcome, "bold red")),
        )  # fmt: skip
    return table


def result_line(result: RunResult, rows: Rows) -> Text:
    """One sentence at the end."""
    if result.outcome is Outcome.ADVISED:
        return Text(f"advice only: {rows.words(result.initial)} now, nothing was written.", "bold")
    colour = "bold green" if result.outcome is Outcome.REACHED else "bold yellow"
    where = "snapshot restored" if result.restored else "setting kept"
    if result.outcome in (Outcome.FAILED, Outcome.ABORTED) and not result.restored:
        where = "SNAPSHOT NOT FULLY RESTORED, see the table"
        colour = "bold red"
    return Text(
        f"{result.outcome.value}: {rows.words(result.initial)} -> {rows.words(result.final)} in {result.steps} steps, "
        f"{result.writes} writes, {where}. {result.reason}.",
        colour,
    )
