"""Writes an evaluation: ``summary.json``, ``report.md`` and plots in the form of the paper's."""

import json
from pathlib import Path

import numpy as np

from beamctl.training.evaluate import Evaluation, Row

COLUMNS = (
    "scenario", "algorithm", "success (95 %)", "steps median / P90", "initial", "final mean (95 %)", "P95", "max",
    "best reachable",
)  # fmt: skip
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write all files; returns their paths, the report first."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = [_plot_distributions(evaluation, scenario, folder) for scenario in _scenarios(evaluation)]
    return [*write_texts(folder, _markdown(evaluation, plots), evaluation.summary()), *plots]


def write_texts(folder: Path, text: str, summary: dict[str, object]) -> list[Path]:
    """Write ``report.md`` and ``summary.json``; returns their paths."""
    report, numbers = folder / "report.md", folder / "summary.json"
    report.write_text(text, encoding="utf-8")
    numbers.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return [report, numbers]


def share_with_interval(share: float, interval: tuple[float, float]) -> str:
    """A share and its interval in per cent."""
    return f"{100 * share:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def steps_or_never(*steps: float | None) -> list[str]:
    """Numbers of steps; None is never."""
    return ["never" if v is None else f"{v:.0f}" for v in steps]


def table(evaluation: Evaluation) -> str:
    """The rows as a Markdown table; RMS in mm."""
    return HEADER + "".join(_line(row) for row in evaluation.rows)


def _line(row: Row) -> str:
    median, p90 = steps_or_never(row.steps_median, row.steps_p90)
    success = share_with_interval(row.success, row.success_ci)
    final = f"{row.final_mean:.3f} ({row.final_mean_ci[0]:.3f} to {row.final_mean_ci[1]:.3f})"
    best = f"{row.best_reachable_mean:.3f}, {100 * row.reachable:.1f} % of machines"
    cells = [
        row.scenario, row.algorithm, success, f"{median} / {p90}", f"{row.initial_mean:.2f}", final,
        f"{row.final_p95:.3f}", f"{row.final_max:.3f}", best,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def _markdown(evaluation: Evaluation, plots: list[Path]) -> str:
    e = evaluation
    pictures = "\n".join(f"![initial and corrected RMS, {p.stem.removeprefix('rms_')}]({p.name})" for p in plots)
    return (
        f"# {e.task}: {e.agent}\n\n"
        f"{e.machines} simulated machines per scenario, seed {e.seed}, target {e.target_mm:g} mm, budget 50 steps. "
        "RMS in mm, true orbit at all BPMs, where the run stopped by itself or its budget ended. "
        "*Success*: two independent readings below the target. *Best reachable*: smallest RMS of any setting "
        "within limits on the true machine "
        "(bounded least squares), and the share of machines that it brings below the target.\n\n"
        f"{table(e)}\n{pictures}\n"
    )


def _scenarios(evaluation: Evaluation) -> list[str]:
    return list(dict.fromkeys(scenario for scenario, _ in evaluation.final))


def _plot_distributions(evaluation: Evaluation, scenario: str, folder: Path) -> Path:
    """Histogram of the initial and of the corrected RMS, one panel per algorithm."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    algorithms = [a for s, a in evaluation.final if s == scenario]
    figure, axes = plt.subplots(1, len(algorithms), figsize=(4.2 * len(algorithms), 3.4), sharey=True, squeeze=False)
    bins = np.linspace(0.0, 7.0, 71)
    for ax, algorithm in zip(axes[0], algorithms, strict=True):
        for values, label, colour in (
            (evaluation.initial[(scenario, algorithm)], "as found", "#9aa7b4"),
            (evaluation.final[(scenario, algorithm)], "corrected", "#0b6e4f"),
        ):
            shares = 100 * np.histogram(np.minimum(values, bins[-1]), bins)[0] / len(values)
            ax.stairs(shares, bins, fill=True, alpha=0.75, color=colour, label=f"{label}, mean {values.mean():.2f} mm")
        ax.axvline(
            evaluation.target_mm,
            color="#b3261e",
            linestyle="--",
            linewidth=1,
            label=f"target {evaluation.target_mm:g} mm",
        )
        ax.set(title=algorithm, xlabel="true RMS over both planes (mm)", xlim=(0, 7))
        ax.legend(fontsize=8)
    axes[0][0].set_ylabel("machines (%)")
    figure.suptitle(f"{evaluation.task}, {scenario}: {evaluation.machines} machines")
    figure.tight_layout()
    path = folder / f"rms_{scenario}.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
