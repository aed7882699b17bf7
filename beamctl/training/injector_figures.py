"""The pictures of an injector: they draw numbers, and compute none that :mod:`injector_scans` could.

Colours are those of the reports, and differ in brightness as well as in hue; the scale of maps is cividis.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamctl.training.injector_beam import PLANES, Acceptance, Ellipse, Losses
from beamctl.training.injector_scans import Landscape
from simulators.rfq_design import CellTable

Array = NDArray[np.float64]
GREEN, RED, GREY, AMBER, BLUE = "#0b6e4f", "#b3261e", "#9aa7b4", "#e69f00", "#0072b2"
DARK = "#3c4650"
INCHES, DPI = 9.85, 130
"""1280 pixels wide"""
LEVELS = (0.85, 0.95)
BIN_M = 0.1
"""losses are counted per"""
SECTIONS = ("radial matcher", "shaper", "gentle buncher", "accelerator")


def section_starts(cells: CellTable) -> list[int]:
    """Index of the first cell of each of :data:`SECTIONS`, and the number of cells."""
    return [0, cells.parameters.matcher_cells, cells.gentle_start, cells.accelerator_start, len(cells)]


def draw_cells(cells: CellTable, path: Path) -> None:
    """Six parameters along the RFQ."""
    end = np.cumsum(cells.length_m)
    z = end - 0.5 * cells.length_m
    panels = [
        ("modulation m", cells.modulation, ""),
        (
            "aperture a (mm)",
            1e3 * cells.aperture_m,
            f"r0 = {1e3 * cells.parameters.r0_m:.2f} mm; the vanes of\nthe matcher open further",
        ),
        ("synchronous phase (deg)", np.degrees(cells.phase_rad), ""),
        ("synchronous energy (MeV)", 1e-6 * cells.energy_ev, f"at the exit {1e-6 * cells.exit_energy_ev:.2f} MeV"),
        ("acceleration A", cells.acceleration, ""),
        ("cell length (mm)", 1e3 * cells.length_m, f"{len(cells)} cells, {end[-1]:.2f} m"),
    ]
    figure, axes = _figure(3, 2, 8.2, sharex=True)
    for ax, (name, values, note) in zip(axes.flat, panels, strict=True):
        _mark_sections(ax, cells, named=ax in axes[0])
        ax.plot(z, values, color=GREEN, marker=".", markersize=2.5, linewidth=1)
        ax.set(ylabel=name, xlim=(0, end[-1]))
        ax.grid(alpha=0.3)
        side = 0.97 if values[0] > values[-1] else 0.03
        ax.text(
            side, 0.93, note, transform=ax.transAxes, ha="right" if side > 0.5 else "left", va="top", fontsize=9,
        )  # fmt: skip
    for ax in axes[-1]:
        ax.set_xlabel("position along the vanes z (m)")
    p = cells.parameters
    figure.suptitle(
        f"RFQ cells: {1e-6 * p.frequency_hz:g} MHz, {1e-3 * p.voltage_v:g} kV between neighbouring vanes, "
        f"B = {p.focusing:.2f}"
    )
    _save(figure, path)


def draw_entrance(
    position: Array, beam: list[Ellipse], matched: Ellipse, accepted: list[Acceptance], scale: float, path: Path
) -> None:
    """Both trace spaces at the entrance of the RFQ.

    Args:
        position: the beam (x, x', y, y') in m, rad, shape (4, n).
        beam, accepted: in x and in y.
        matched: ellipse that suits the RFQ, with the emittance of the beam.
        scale: beta gamma, which makes emittances normalised.
        path: of the picture.
    """
    figure, axes = _figure(1, 2, 6.3, sharex=True, sharey=True)
    for plane, ax in enumerate(axes[0]):
        a, u = accepted[plane], PLANES[plane]
        x, slope = 1e3 * a.x_m, 1e3 * a.slope_rad
        filled = ax.contourf(x, slope, 100 * a.share, levels=np.linspace(0, 100, 21), cmap=_pale())
        for level, style in ((0.5, ":"), (0.95, "-")):
            ax.contour(x, slope, a.share, levels=[level], colors=DARK, linewidths=1.3, linestyles=style)
            name = f"transmitted > {100 * level:.0f} %: area/π {1e6 * scale * a.area_m(level):.1f} mm mrad norm."
            ax.plot([], [], color=DARK, linestyle=style, linewidth=1.3, label=name)
        particles = 1e3 * position[2 * plane : 2 * plane + 2]
        ax.plot(*particles, ".", color=GREEN, markersize=2.5, markeredgewidth=0)
        ellipse = beam[plane]
        text = (
            f"beam, 2 rms: α {ellipse.alpha:.2f}, β {1e3 * ellipse.beta_m:.0f} mm, "
            f"ε {1e6 * scale * ellipse.emittance_m:.3f} mm mrad rms norm."
        )
        ax.plot(*(1e3 * ellipse.outline(2.0)), color=GREEN, linewidth=2, label=text)
        text = f"matched, 2 rms: α {matched.alpha:.2f}, β {1e3 * matched.beta_m:.0f} mm"
        ax.plot(*(1e3 * matched.outline(2.0)), color=RED, linestyle="--", linewidth=2, label=text)
        ax.set(xlabel=f"{u} (mm)", ylabel=f"{u}' (mrad)", title=f"{u}: mismatch factor {ellipse.mismatch(matched):.2f}")
        ax.grid(alpha=0.3)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=8)
    figure.colorbar(filled, ax=axes[0], label="transmitted, mean over RF phase (%)", ticks=range(0, 101, 20), pad=0.02)
    figure.suptitle("Entrance of the RFQ: beam at the design setting, and what the RFQ transmits")
    _save(figure, path)


def draw_landscape(
    scan: Landscape, names: tuple[str, str], tesla_per_a: float, design_a: tuple[float, float],
    acct_floor_a: float, h2_share: float, path: Path,
) -> None:  # fmt: skip
    """MFC1 / source current and T over both solenoids.

    Args:
        scan: the numbers.
        names: of the solenoids.
        tesla_per_a: their calibration.
        design_a: design setting.
        acct_floor_a: below this ACCT current T is left out.
        h2_share: for the caption.
        path: of the picture.
    """
    figure, axes = _figure(1, 2, 5.6)
    seen = scan.acct_a > acct_floor_a
    maps = (
        (scan.eta, "MFC1 / proton current of the source"),
        (np.where(seen, scan.transmission, np.nan), "T = MFC1 / ACCT"),
    )
    for ax, (values, title) in zip(axes[0], maps, strict=True):
        ax.set_facecolor("#d7dde3")
        filled = ax.pcolormesh(
            scan.solenoid1_a, scan.solenoid2_a, values.T, vmin=0, vmax=1, cmap="cividis", shading="nearest"
        )
        for level, style in zip(LEVELS, ("--", "-"), strict=True):
            ax.contour(
                scan.solenoid1_a, scan.solenoid2_a, values.T, levels=[level], colors="black", linewidths=1.2,
                linestyles=style,
            )  # fmt: skip
            ax.plot([], [], color="black", linestyle=style, linewidth=1.2, label=f"{level:g}")
        for i, family in enumerate(scan.families()):
            at = values[
                np.searchsorted(scan.solenoid1_a, family.solenoid_a[0]),
                np.searchsorted(scan.solenoid2_a, family.solenoid_a[1]),
            ]
            text = f"best near {family.solenoid_a[0]:.0f}/{family.solenoid_a[1]:.0f} A: {at:.3f}"
            ax.plot(*family.solenoid_a, "os"[i % 2], mfc="none", mec=RED, mew=2, ms=10, linestyle="none", label=text)
        label = f"design {design_a[0]:.0f}/{design_a[1]:.0f} A"
        ax.plot(*design_a, "x", color=RED, mew=2, ms=8, linestyle="none", label=label)
        ax.set(xlabel=f"{names[0]} (A)", ylabel=f"{names[1]} (A)")
        ax.set_title(title, fontsize=11)
        top = ax.secondary_xaxis("top", functions=(lambda a: a * tesla_per_a, lambda t: t / tesla_per_a))
        top.xaxis.set_major_locator(_every(0.05))
        top.set_xlabel(f"field of {names[0]} (T)", fontsize=9)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8)
    figure.colorbar(filled, ax=axes[0], pad=0.02)
    figure.suptitle(f"Solenoid settings of the machine without errors, correctors 0, {100 * h2_share:.0f} % H2+")
    _save(figure, path)


def draw_losses(cells: CellTable, cases: dict[str, tuple[Losses, float]], path: Path) -> None:
    """Losses along the RFQ.

    Args:
        cells: of the RFQ.
        cases: by caption: losses, and the current that enters the RFQ in A.
        path: of the picture.
    """
    end = np.cumsum(cells.length_m)
    z = end - 0.5 * cells.length_m
    edges = BIN_M * np.arange(math.ceil(end[-1] / BIN_M) + 1)
    figure, axes = _figure(3, 1, 8.6, sharex=True)
    rest_ev = cells.parameters.mass_ev
    for (name, (lost, current_a)), colour, style in zip(cases.items(), (GREEN, AMBER), ("-", "--"), strict=False):
        power = lost.energy_share * rest_ev * current_a
        per_bin, watts = (np.histogram(z, edges, weights=w)[0] for w in (100 * lost.share, power))
        look = {"color": colour, "linewidth": 1.8, "linestyle": style}
        axes[0, 0].stairs(per_bin, edges, label=f"{name}: {100 * lost.transmitted:.1f} % transmitted", **look)
        total = f"{name}: {100 * lost.share.sum():.2f} % lost, {100 * lost.unaccelerated:.2f} % leave unaccelerated"
        axes[1, 0].step(end, 100 * np.cumsum(lost.share), where="post", label=total, **look)
        axes[2, 0].stairs(
            watts, edges, label=f"{name}: {power.sum():.1f} W of {1e3 * current_a:.2f} mA entering", **look
        )
    for row, (ax, name) in enumerate(
        zip(axes[:, 0], ("lost per 10 cm (%)", "lost up to z (%)", "lost per 10 cm (W)"), strict=True)
    ):
        ax.set(ylabel=name, xlim=(0, end[-1]))
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        _mark_sections(ax, cells, named=row == 0)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right" if row == 1 else "upper right")
    axes[-1, 0].set_xlabel("position along the vanes z (m)")
    figure.suptitle("Losses along the RFQ, of the protons that enter it")
    _save(figure, path)


def draw_voltage(voltage: Array, cases: dict[str, Array], cells: CellTable, path: Path) -> None:
    """Transmission over the vane voltage relative to the design, by caption.

    Where the voltage times the cosine of the design phase is too small, no phase gives the design energy gain.
    """
    kilovolts, final_phase_rad = 1e-3 * cells.parameters.voltage_v, cells.parameters.final_phase_rad
    figure, axes = _figure(1, 1, 4.8)
    ax = axes[0, 0]
    for (name, values), colour, style in zip(cases.items(), (BLUE, GREEN), ("--o", "-s"), strict=False):
        ax.plot(voltage, 100 * values, style, color=colour, markersize=4, label=name)
    ax.axvline(1.0, color=RED, linestyle=":", linewidth=1.2, label=f"design, {kilovolts:g} kV")
    least = math.cos(final_phase_rad)
    text = f"cos φs = {least:.3f}: below, no phase keeps up on the axis"
    ax.axvline(least, color=DARK, linestyle="-.", linewidth=1.2, label=text)
    ax.set(xlabel="vane voltage / design", ylabel="transmitted by the RFQ (%)", ylim=(0, 102))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=9, loc="lower right")
    figure.suptitle("Transmission of the RFQ over the vane voltage")
    _save(figure, path)


def _mark_sections(ax: Any, cells: CellTable, *, named: bool) -> None:
    """Shade every other section, and name them above the axes."""
    starts = section_starts(cells)
    edges = np.concatenate([[0.0], np.cumsum(cells.length_m)])[starts]
    for i, name in enumerate(SECTIONS):
        if i % 2:
            ax.axvspan(edges[i], edges[i + 1], color=GREY, alpha=0.18, linewidth=0)
        if named:
            first = i == 0  # the shortest: its name gets a line of its own
            middle = 0.0 if first else 0.5 * (edges[i] + edges[i + 1])
            ax.annotate(
                name, (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 14 if first else 3),
                textcoords="offset points", ha="left" if first else "center", va="bottom", fontsize=8,
            )  # fmt: skip


def _figure(rows: int, columns: int, height: float, *, sharex: bool = False, sharey: bool = False) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(INCHES, height), sharex=sharex, sharey=sharey, squeeze=False, layout="constrained"
    )
    return figure, axes


def _pale() -> Any:
    """White to grey, so that lines stand out everywhere."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("pale", ["white", GREY])


def _every(step: float) -> Any:
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(step)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, dpi=DPI)
    plt.close(figure)
