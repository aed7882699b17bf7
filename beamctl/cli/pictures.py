"""Pictures of runs: what was read, step by step; orbits before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from beamctl.run.events import RunResult, Stepped
from beamctl.task.orbit import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Response(Protocol):
    """Expected and measured response, mm/A, shape (n, k), NaN where not measured."""

    @property
    def correctors(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the rows."""

    @property
    def expected_mm_per_a(self) -> Array:
        """As described."""

    @property
    def measured_mm_per_a(self) -> Array:
        """As measured."""


RED, GREEN, BLUE, GREY = "#b3261e", "#0b6e4f", "#1f5fa8", "#5f6b76"


def plot_steps(steps: Sequence[Stepped], path: Path, title: str) -> None:
    """ACCT, MFC1 and transmission, or the RMS, over the readings of a run."""
    plt = _pyplot()
    names = list(steps[0].figures) if steps else []
    figure, ax = plt.subplots(figsize=(8, 4.5))
    readings = range(len(steps))

    def values(name: str) -> list[float]:
        return [step.figures[name] for step in steps]

    if "transmission" in names:
        _plot_currents(ax, readings, values)
    elif names:
        ax.plot(readings, values("rms_mm"), color=GREEN, marker="o", label="RMS over both planes")
        ax.set_ylabel("RMS (mm)")
        ax.set_ylim(bottom=0)
    ax.set_xlabel("reading (0: as found)")
    ax.set_title(title, fontsize=11)
    ax.grid(alpha=0.25)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _plot_currents(ax: "Axes", readings: Sequence[int], values: Any) -> None:
    """Currents on the left axis, transmission on the right one, as in the published figures."""
    lines = ax.plot(
        readings, values("acct_ma"), color=BLUE, marker="s", markersize=4, label="ACCT, in front of the RFQ"
    )
    lines += ax.plot(readings, values("mfc1_ma"), color=GREEN, marker="o", markersize=4, label="MFC1, behind the RFQ")
    ax.set_ylabel("current (mA)")
    ax.set_ylim(bottom=0)
    right = ax.twinx()
    lines += right.plot(readings, values("transmission"), color=RED, linewidth=1.8, label="transmission (right)")
    right.axhline(0.85, color=RED, linestyle=":", linewidth=1)
    right.set_ylabel("transmission MFC1 / ACCT", color=RED)
    right.set_ylim(0, 1.05)
    ax.legend(lines, [str(line.get_label()) for line in lines], loc="lower right", fontsize=9)


@dataclass(frozen=True)
class OrbitChange:
    """What a run has made of the orbit of one section; ``bpms`` in the order of its readings."""

    section: str
    bpms: list[str]
    result: RunResult


def plot_orbits(changes: Sequence[OrbitChange], path: Path, subtitle: str) -> None:
    """Orbit before and after, both planes, over all sections along the beam."""
    plt = _pyplot()
    figure, axes = plt.subplots(2, 1, figsize=(10, 5.2), sharex=True, sharey=True)
    labels: list[str] = []
    for change in changes:
        result, names = change.result, change.bpms
        z = [len(labels) + i for i in range(len(names))]
        for plane, ax in enumerate(axes):
            for orbit, style in (
                (result.initial_values, {"color": RED, "marker": "s", "label": "as found"}),
                (result.final_values, {"color": GREEN, "marker": "o", "label": "corrected"}),
            ):
                ax.plot(z, orbit[plane::2], linewidth=1.8, markersize=5, **style)
            rms = f"{result.initial['rms_mm']:.2f} → {result.final['rms_mm']:.2f} mm"
            text = f"{change.section.upper()}: {rms}, {result.steps} steps"
            if plane == 0:
                ax.annotate(
                    text, (0.5 * (z[0] + z[-1]), 1.03), xycoords=("data", "axes fraction"), ha="center", fontsize=9
                )
            ax.axvline(z[0] - 0.5, color="#c7ced6", linewidth=0.8)
        labels += names
    for ax, plane_name in zip(axes, ("x", "y"), strict=True):
        ax.axhspan(-0.5, 0.5, color=GREEN, alpha=0.10, linewidth=0)  # the target, for the eye
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.set_ylabel(f"{plane_name} (mm)")
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles[:2], texts[:2], loc="lower center", ncols=2, frameon=False)
    axes[1].set_xticks(range(len(labels)), labels, rotation=45, fontsize=8)
    figure.suptitle(f"Orbit correction by TBSAC over Channel Access, RMS ({subtitle})", fontsize=11)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def plot_response(findings: Response, path: Path, title: str) -> None:
    """Expected and measured response as heat maps, and their difference."""
    plt = _pyplot()
    expected, measured = findings.expected_mm_per_a, findings.measured_mm_per_a
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True)
    largest = float(abs(expected).max())
    for ax, matrix, name in zip(
        axes, (expected, measured, measured - expected), ("as described", "as measured", "difference"), strict=True
    ):
        image = ax.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
        ax.set_title(name, fontsize=10)
        ax.set_xticks(range(len(findings.correctors)), findings.correctors, rotation=60, fontsize=8)
        ax.set_facecolor("#c7ced6")  # not measured
    axes[0].set_yticks(range(len(findings.channels)), findings.channels, fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout(rect=(0, 0, 0.93, 1))
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.set_label("response (mm/A)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt
