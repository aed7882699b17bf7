"""The charts of a report."""

from collections.abc import Sequence

from beamctl.api.report.charts import Series, bars, lines
from beamctl.api.report.markup import Markup
from beamctl.api.schemas.runs import Run, Step

_TITLES = {
    "rms_mm": "RMS of the orbit, mm",
    "acct_ma": "ACCT, mA",
    "mfc1_ma": "MFC1, mA",
    "transmission": "transmission MFC1/ACCT",
}


def figures_by_step(target: float | None, steps: Sequence[Step]) -> list[Markup]:
    """A chart for every figure of a run; the goal is dashed."""
    measured = [step for step in steps if step.figures]
    names = list(measured[0].figures) if measured else []
    goal_of = "rms_mm" if "rms_mm" in names else "transmission"
    x = [float(i) for i in range(len(measured))]
    charts = []
    for name in names:
        values = [step.figures.get(name) for step in measured]
        level = target if name == goal_of else None
        charts.append(lines(_TITLES.get(name, name), "reading", x, [Series(name, values, "one")], level))
    return charts


def readings(run: Run, steps: Sequence[Step]) -> list[Markup]:
    """What the instruments read first and last."""
    if not steps:
        return []
    first, last, names = steps[0].values, steps[-1].values, run.channels
    if len(names) != len(first) or "rms_mm" not in steps[0].figures:
        return []
    charts = []
    for plane in ("x", "y"):
        own = [i for i, name in enumerate(names) if name.endswith(f" {plane}")]
        series = [Series("first", [first[i] for i in own], "before"), Series("last", [last[i] for i in own], "after")]
        charts.append(bars(f"orbit {plane}, mm", "BPM", [names[i].removesuffix(f" {plane}") for i in own], series))
    return charts


def changes(run: Run, steps: Sequence[Step]) -> list[Markup]:
    """How far the setpoints have been moved between the first and the last reading."""
    if not steps or len(run.knobs) != len(steps[0].setpoint_a) or len(run.knobs) != len(steps[-1].setpoint_a):
        return []
    moved = [after - before for before, after in zip(steps[0].setpoint_a, steps[-1].setpoint_a, strict=True)]
    return [
        bars(
            "change of the setpoints from the first to the last reading, A",
            "knob",
            run.knobs,
            [Series("", moved, "one")],
        )
    ]
