"""Charts of a report, for every kind of run."""

from beamctl.api.report.figures import figures_by_step
from beamctl.api.schemas.runs import Step
from beamctl.store.events import now


def step(number: int, **figures: float | None) -> Step:
    return Step(
        step=number, seconds=1.0, figures=figures, values=[], setpoint_a=[], readback_a=[], note="", time=now()
    )  # fmt: skip


def test_a_chart_for_every_figure_with_its_goal():
    steps = [step(n, acct_ma=1.5, mfc1_ma=0.1 * n, transmission=None if n == 1 else 0.07 * n) for n in range(5)]
    charts = figures_by_step(0.85, steps)
    titles = ("ACCT, mA", "MFC1, mA", "transmission")
    assert all(title in chart for title, chart in zip(titles, charts, strict=True))
    assert ['class="goal"' in chart for chart in charts] == [False, False, True]


def test_readings_without_figures_are_left_out():
    charts = figures_by_step(0.5, [step(0, rms_mm=2.0), step(0), step(1, rms_mm=1.0)])
    assert [chart.count("<circle") for chart in charts] == [2]
    assert figures_by_step(0.5, []) == []
