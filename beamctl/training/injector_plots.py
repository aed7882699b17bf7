"""Writes what a physicist looks at first in an RFQ injector: cell table, entrance, landscape, losses, voltage.

The machine is the error-free model of the description. Its pictures show the model, not a measurement.
"""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.injector import rfq_parameters
from beamctl.machine.injector import InjectorDescription
from beamctl.training import injector_figures as figures
from beamctl.training.injector_beam import Ellipse, Losses, acceptance, losses, rms_ellipse
from beamctl.training.injector_scans import Progress, design_solenoids, entrance, landscape, model, voltage_scan
from simulators.beam import beta_gamma
from simulators.lebt import Source, source_particles
from simulators.lpi import N_PARTICLES, LpiMachine
from simulators.rfq import step_table
from simulators.rfq_design import CellTable, beta_of, design, matched_beam

Array = NDArray[np.float64]
QUADRUPOLE = 6
"""column of :attr:`simulators.rfq.StepTable.rows`: quadrupole part of the relative potential, 1/m^2"""
GRID = 45
ACCEPTANCE_GRID = 81
FINE_PARTICLES = 32768
"""for losses and voltage, where a per mille counts"""
MISMATCH = 1.1
"""both solenoids this much stronger show where a mismatched beam is lost"""
VOLTAGES = np.linspace(0.80, 1.05, 26)
COLUMNS = (
    "cell", "section", "end_mm", "length_mm", "energy_mev", "beta_1", "phase_deg", "acceleration_1", "modulation_1",
    "aperture_mm", "focusing_1",
)  # fmt: skip


def write_plots(
    description: InjectorDescription,
    folder: Path,
    *,
    grid: int = GRID,
    acceptance_grid: int = ACCEPTANCE_GRID,
    particles: int = FINE_PARTICLES,
    progress: Progress = lambda *_: None,
) -> list[Path]:
    """Write all files.

    Args:
        description: of the injector.
        folder: is made where it does not exist.
        grid: settings per solenoid in the landscape, the long part.
        acceptance_grid: points per direction in the acceptance.
        particles: for everything but the landscape.
        progress: told of each row of the landscape.

    Returns:
        Their paths, the cell table first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = design(rfq_parameters(description))
    fine = model(description, particles)
    paths = [folder / name for name in ("cells.csv", "cells.png")]
    write_cells(cells, paths[0])
    figures.draw_cells(cells, paths[1])
    return [
        *paths,
        _entrance(description, fine, cells, acceptance_grid, folder / "entrance.png"),
        _landscape(description, grid, folder / "landscape.png", progress),
        _losses(description, fine, cells, folder / "losses.png"),
        _voltage(description, fine, cells, folder / "voltage.png"),
    ]


def write_cells(cells: CellTable, path: Path) -> None:
    """The cell table as CSV, units in the header; energy, beta and phase are those in the middle of the cell.

    In the radial matcher the aperture stays r0, and B rises (the vanes of a real one open).
    """
    p, end = cells.parameters, np.cumsum(cells.length_m)
    focusing = focusing_along(cells)
    section = np.repeat(figures.SECTIONS, np.diff(figures.section_starts(cells)))
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for i in range(len(cells)):
            numbers = (
                1e3 * end[i], 1e3 * cells.length_m[i], 1e-6 * cells.energy_ev[i],
                beta_of(cells.energy_ev[i], p.mass_ev), math.degrees(cells.phase_rad[i]), cells.acceleration[i],
                cells.modulation[i], 1e3 * cells.aperture_m[i], focusing[i],
            )  # fmt: skip
            rows.writerow([i + 1, section[i], *(f"{x:.6f}" for x in numbers)])


def focusing_along(cells: CellTable) -> Array:
    """B in each cell, with its rise in the radial matcher, as the tracker has it; shape (n_cell,)."""
    table, p = step_table(cells), cells.parameters
    per_m2 = table.rows[:, QUADRUPOLE].reshape(-1, table.per_cell).mean(axis=1)
    return np.asarray(p.focusing * p.r0_m**2 * per_m2)


def loss_cases(description: InjectorDescription, machine: LpiMachine) -> dict[str, tuple[Losses, float]]:
    """By caption: losses at the design setting and at a mismatched one, and the current in A that enters the RFQ."""
    first, second = design_solenoids(description)
    cases = {}
    for name, factor in (("design", 1.0), (f"both solenoids × {MISMATCH:g}", MISMATCH)):
        setting = factor * first, factor * second
        position, phase = entrance(description, machine, setting)
        entering_a = machine.source.current_a * phase.size / machine.phase.size
        cases[f"{name}, {setting[0]:.0f}/{setting[1]:.0f} A"] = (losses(machine.table, position, phase), entering_a)
    return cases


def _entrance(description: InjectorDescription, machine: LpiMachine, cells: CellTable, grid: int, path: Path) -> Path:
    position, _ = entrance(description, machine, design_solenoids(description))
    beam = [rms_ellipse(position, plane) for plane in (0, 1)]
    matched = Ellipse(0.5 * (beam[0].emittance_m + beam[1].emittance_m), *matched_beam(cells.parameters))
    accepted = [acceptance(machine.table, position, plane, grid) for plane in (0, 1)]
    p = cells.parameters
    scale = float(beta_gamma(p.input_energy_ev, p.mass_ev))
    figures.draw_entrance(position[:, :N_PARTICLES], beam, matched, accepted, scale, path)
    return path


def _landscape(description: InjectorDescription, grid: int, path: Path, progress: Progress) -> Path:
    machine = model(description, N_PARTICLES)
    first, second = (stage.solenoid.name for stage in description.lebt.stages)
    figures.draw_landscape(
        landscape(description, machine, grid, progress), (first, second),
        description.lebt.solenoid.calibration.si(), design_solenoids(description),
        description.monitors.beam_floor.si(), machine.h2_share, path,
    )  # fmt: skip
    return path


def _losses(description: InjectorDescription, machine: LpiMachine, cells: CellTable, path: Path) -> Path:
    figures.draw_losses(cells, loss_cases(description, machine), path)
    return path


def _voltage(description: InjectorDescription, machine: LpiMachine, cells: CellTable, path: Path) -> Path:
    alpha, beta_m = matched_beam(cells.parameters)
    source = Source(machine.source.emittance_m, alpha, beta_m)
    matched = source_particles(source, machine.normal, machine.geometry.energy_ev).astype(np.float64)
    beams = {
        f"matched beam, {1e6 * source.emittance_m:.2g} mm mrad rms norm.": (matched, machine.phase),
        "beam behind the LEBT at the design setting": entrance(description, machine, design_solenoids(description)),
    }
    cases = {name: voltage_scan(machine.table, *beam, VOLTAGES) for name, beam in beams.items()}
    figures.draw_voltage(VOLTAGES, cases, cells, path)
    return path
