"""What a person sees while a run goes on: a table that grows by a row per step."""

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Advice, Armed, Event, Held, Outcome, Restored, RunResult, Stepped
from beamctl.task.orbit import Array, Mask

_BARS = "▁▂▃▄▅▆▇█"


class RunDisplay:
    """Live table of one run.

    Args:
        console: where to.
        title: shown above.
        target_mm: decides the colours.
        knobs, channels: names for people.
    """

    def __init__(
        self, console: Console, title: str, target_mm: float, knobs: list[str], channels: tuple[str, ...]
    ) -> None:
        self._console = console
        self._target = target_mm
        self._knobs = knobs
        self._channels = channels
        self._last_setpoint: Array | None = None
        self._status = Text("connecting ...")
        self._table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("step", "time\ns", "RMS\nmm", "largest\nmm", "moved\nA"):
            self._table.add_column(name, justify="right", no_wrap=True)
        for name in ("|x|\n0..4 mm", "|y|\n0..4 mm"):
            self._table.add_column(name, no_wrap=True)
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
                self._status = Text(f"armed: {event.identity}, beam {event.current_ma:.2f} mA; reading the orbit ...")
            case Stepped():
                self._add(event)
            case Held():
                self._status = Text(f"holding for {event.seconds:.0f} s, nothing is written: {event.reason}", "yellow")
            case Restored():
                self._live.console.print(restore_table(event))
            case Advice():
                self._live.console.print(self._advice_table(event))
        self._refresh()

    def _add(self, step: Stepped) -> None:
        moved = "" if self._last_setpoint is None else f"{np.abs(step.setpoint_a - self._last_setpoint).max():.2f}"
        self._last_setpoint = step.setpoint_a
        colour = "green" if step.rms_mm < self._target else "yellow" if step.rms_mm < 2 * self._target else "red"
        largest = float(np.abs(step.orbit_mm[step.valid]).max())
        note = step.note
        if not step.valid.all():
            missing = [n for n, ok in zip(self._channels, step.valid, strict=True) if not ok]
            note = f"{note}  without {', '.join(missing)}".strip()
        self._table.add_row(
            str(step.step), f"{step.seconds:.1f}", Text(f"{step.rms_mm:.3f}", colour), f"{largest:.2f}", moved,
            _bars(step.orbit_mm[0::2], step.valid[0::2]), _bars(step.orbit_mm[1::2], step.valid[1::2]), note,
        )  # fmt: skip
        self._status = Text("next step ...")

    def _advice_table(self, advice: Advice) -> Table:
        table = Table(title="proposed, nothing written", title_justify="left")
        for column in ("corrector", "now A", "proposed A", "change A"):
            table.add_column(column, justify="right")
        for name, now, new in zip(self._knobs, advice.setpoint_a, advice.proposed_a, strict=True):
            table.add_row(name, f"{now:.3f}", f"{new:.3f}", f"{new - now:+.3f}")
        table.caption = f"RMS now {advice.rms_mm:.3f} mm, expected by the model {advice.predicted_rms_mm:.3f} mm"
        return table

    def _picture(self) -> RenderableType:
        return Group(self._table, self._status) if self._status.plain else self._table

    def _refresh(self) -> None:
        self._live.update(self._picture(), refresh=True)


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


def result_line(result: RunResult) -> Text:
    """One sentence at the end."""
    if result.outcome is Outcome.ADVISED:
        return Text(f"advice only: RMS {result.initial_rms_mm:.3f} mm now, nothing was written.", "bold")
    colour = "bold green" if result.outcome is Outcome.REACHED else "bold yellow"
    where = "snapshot restored" if result.restored else "setting kept"
    if result.outcome in (Outcome.FAILED, Outcome.ABORTED) and not result.restored:
        where = "SNAPSHOT NOT FULLY RESTORED, see the table"
        colour = "bold red"
    return Text(
        f"{result.outcome.value}: {result.initial_rms_mm:.3f} -> {result.final_rms_mm:.3f} mm in {result.steps} steps, "
        f"{result.writes} writes, {where}. {result.reason}.",
        colour,
    )


def _bars(values: Array, valid: Mask) -> str:
    """Sizes as small bars, 4 mm and more is full; a dot where the BPM does not count."""
    level = np.clip(np.abs(values) / 4.0 * (len(_BARS) - 1), 0, len(_BARS) - 1).round().astype(int)
    return "".join(_BARS[i] if ok else "·" for i, ok in zip(level, valid, strict=True))
