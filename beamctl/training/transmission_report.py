"""Writes an evaluation of the transmission: ``summary.json``, ``report.md``, and courses like the paper's figure."""

from pathlib import Path
from typing import Any

import numpy as np

from beamctl.training.report import share_with_interval, steps_or_never, write_texts
from beamctl.training.transmission_evaluate import Pairing, TransmissionEvaluation, TransmissionRow

COLUMNS = (
    "scenario", "algorithm", "within 2 % / 5 % of best", "MFC1 / best (95 %)", "T >= goal (95 %)",
    "steps median / P90", "T start, end", "T P5", "ACCT start, end (mA)", "worse", "best MFC1 / source",
)  # fmt: skip
PAIRED = ("scenario", "beside", "MFC1 / best gained (95 %)", "ahead on", "steps saved (95 %)")
BAND = (25, 75)
"""percentiles of the machines"""


def write_transmission_report(evaluation: TransmissionEvaluation, folder: Path) -> list[Path]:
    """Write all files; returns their paths, the report first."""
    folder.mkdir(parents=True, exist_ok=True)
    scenarios = list(dict.fromkeys(scenario for scenario, _ in evaluation.courses))
    plots = [plot for scenario in scenarios for plot in _plots(evaluation, scenario, folder)]
    return [*write_texts(folder, _markdown(evaluation, plots), evaluation.summary()), *plots]


def transmission_table(evaluation: TransmissionEvaluation) -> str:
    """The rows as a Markdown table."""
    return _header(COLUMNS) + "".join(_line(row) for row in evaluation.rows)


def _header(columns: tuple[str, ...]) -> str:
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"


def _line(row: TransmissionRow) -> str:
    best = row.mfc1_over_best_ci
    cells = [
        row.scenario, row.algorithm, f"{100 * row.within_2pct:.1f} / {100 * row.within_5pct:.1f} %",
        f"{row.mfc1_over_best_mean:.3f} ({best[0]:.3f} to {best[1]:.3f})",
        share_with_interval(row.success, row.success_ci), " / ".join(steps_or_never(row.steps_median, row.steps_p90)),
        f"{row.initial_mean:.2f}, {row.final_mean:.3f}", f"{row.final_p05:.3f}",
        f"{row.acct_initial_mean_ma:.2f}, {row.acct_final_mean_ma:.2f}", f"{100 * row.worse_than_start:.1f} %",
        f"{row.best_reachable_mean:.3f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def _pairing(p: Pairing) -> str:
    gain = f"{p.gain_mean:+.3f} ({p.gain_ci[0]:+.3f} to {p.gain_ci[1]:+.3f})"
    saved = f"{p.steps_saved_mean:+.1f} ({p.steps_saved_ci[0]:+.1f} to {p.steps_saved_ci[1]:+.1f})"
    return f"| {p.scenario} | {p.reference} | {gain} | {100 * p.ahead:.0f} % | {saved} |\n"


def _markdown(evaluation: TransmissionEvaluation, plots: list[Path]) -> str:
    e = evaluation
    pictures = "\n".join(f"![{p.stem.replace('_', ', ')}]({p.name})" for p in plots)
    pairs = _header(PAIRED) + "".join(map(_pairing, e.pairings)) if e.pairings else ""
    return (
        f"# {e.task}: {e.agent}\n\n"
        f"{e.machines} simulated injectors per scenario, seed {e.seed}, the same ones and the same noise for every "
        f"algorithm, {e.max_steps} steps of at most {e.step_percent:g} % of each knob's range, goal "
        f"T >= {e.target_transmission:g}. Currents and transmissions are true ones at the setting where the guarded "
        "run ends: the last one, or the best reading where the last is below it by more than noise explains. *Best*: "
        "largest MFC1 found by differential evolution on the tracker or by any algorithm here. *Worse*: ends with "
        "less MFC1 than the machine was found with.\n\n"
        f"{transmission_table(e)}\n{pairs}\n{pictures}\n"
    )


def _plots(evaluation: TransmissionEvaluation, scenario: str, folder: Path) -> list[Path]:
    """Courses of transmission and ACCT current, and the distribution of MFC1 over best."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    courses = {a: course for (s, a), course in evaluation.courses.items() if s == scenario}
    written = []
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7.0, 6.4), sharex=True)
    for name, course in courses.items():
        _course(top, name, course.transmission)
        _course(bottom, name, course.acct_ma)
    top.axhline(evaluation.target_transmission, color="#b3261e", linestyle="--", linewidth=1)
    top.set(ylabel="transmission", ylim=(0, 1.02), title=f"{evaluation.task}, {scenario}")
    bottom.set(ylabel="ACCT current (mA)", xlabel="step")
    top.legend(fontsize=8, ncols=2)
    written.append(_save(figure, folder / f"course_{scenario}.png"))
    figure, ax = plt.subplots(figsize=(7.0, 3.6))
    bins = np.linspace(0.0, 1.0, 51)
    for name, course in courses.items():
        shares = 100.0 * np.histogram(course.of_best, bins)[0] / len(course.of_best)
        ax.stairs(shares, bins, label=f"{name}, mean {course.of_best.mean():.3f}")
    ax.set(xlabel="MFC1 / best", ylabel="machines (%)", xlim=(0, 1), title=scenario)
    ax.legend(fontsize=8)
    written.append(_save(figure, folder / f"best_{scenario}.png"))
    return written


def _course(ax: Any, name: str, values: np.ndarray) -> None:
    """Median and band over the machines."""
    steps = np.arange(values.shape[1])
    (line,) = ax.plot(steps, np.median(values, axis=0), label=name)
    lo, hi = np.percentile(values, BAND, axis=0)
    ax.fill_between(steps, lo, hi, color=line.get_color(), alpha=0.15, linewidth=0)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
