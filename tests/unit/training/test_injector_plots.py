"""The pictures of the injector: the numbers behind them, on small grids. Particles have the seed of the plots."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beamctl.engine.simulated.injector import design_setting, knob_limits, rfq_parameters, settings
from beamctl.machine.loader import load_injector
from beamctl.training.injector_beam import Ellipse, acceptance, losses, rms_ellipse
from beamctl.training.injector_figures import SECTIONS
from beamctl.training.injector_plots import loss_cases, write_cells, write_plots
from beamctl.training.injector_scans import design_solenoids, entrance, landscape, model, voltage_scan
from simulators import rfq
from simulators.beam import beta_gamma
from simulators.lpi import Settings, run
from simulators.rfq_design import design, matched_beam

ROOT = Path(__file__).parents[3]
LPI = load_injector("lpi")
FILES = ["cells.csv", "cells.png", "entrance.png", "landscape.png", "losses.png", "voltage.png"]
GRID = 15


@pytest.fixture(scope="module")
def cells():
    return design(rfq_parameters(LPI))


@pytest.fixture(scope="module")
def machine():
    return model(LPI, 1024)


@pytest.fixture(scope="module")
def beam(machine):
    return entrance(LPI, machine, design_solenoids(LPI))


@pytest.fixture(scope="module")
def scan(machine):
    return landscape(LPI, machine, GRID)


def test_files_are_written_and_progress_told(tmp_path):
    told = []
    written = write_plots(
        LPI, tmp_path / "new" / "folder", grid=5, acceptance_grid=9, particles=256,
        progress=lambda *done_total: told.append(done_total),
    )  # fmt: skip
    assert [p.name for p in written] == FILES
    assert told == [(i, 5) for i in range(1, 6)]
    for path in written[1:]:
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        assert int.from_bytes(head[16:20], "big") == 1280


# -- the cell table --


def test_cell_table(tmp_path, cells):
    write_cells(cells, tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    number = {name: np.array([float(r[name]) for r in rows]) for name in rows[0] if name != "section"}
    assert number["length_mm"].sum() == pytest.approx(1e3 * cells.length_m.sum(), abs=1e-3)
    assert number["end_mm"][-1] == pytest.approx(number["length_mm"].sum(), abs=1e-3)
    assert list(dict.fromkeys(r["section"] for r in rows)) == list(SECTIONS)
    counts = [sum(r["section"] == name for r in rows) for name in SECTIONS]
    assert (counts[0], counts[1], counts[3]) == (6, 50, 59)
    assert list(number["cell"]) == list(range(1, len(cells) + 1))
    # half a period of the modulation: beta lambda / 2 in the accelerator
    wavelength_mm = 1e3 * cells.parameters.wavelength_m
    np.testing.assert_allclose(number["length_mm"][-59:], number["beta_1"][-59:] * wavelength_mm / 2, rtol=1e-4)


def test_focusing_rises_in_the_matcher_only(tmp_path, cells):
    write_cells(cells, tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(encoding="utf-8", newline="") as file:
        focusing = np.array([float(r["focusing_1"]) for r in csv.DictReader(file)])
    assert (np.diff(focusing[:7]) > 0).all()
    np.testing.assert_allclose(focusing[6:], cells.parameters.focusing, rtol=1e-5)
    assert focusing[:6].mean() == pytest.approx(cells.parameters.focusing / 2, rel=0.01)


# -- the landscape --


def test_model_is_the_description(machine):
    assert machine.source.emittance_m == pytest.approx(0.2e-6)
    assert (machine.source.alpha, machine.source.beta_m) == (-1.0, 0.06)
    assert (machine.neutralisation, machine.h2_share, machine.vane_voltage) == (0.9, 0.06, 1.0)


def test_maximum_of_the_landscape_is_where_the_simulator_says(machine, scan):
    (lo1, lo2), (hi1, hi2) = (limit[:2] for limit in knob_limits(LPI))
    np.testing.assert_allclose(scan.solenoid1_a, np.linspace(lo1, hi1, GRID))
    np.testing.assert_allclose(scan.solenoid2_a, np.linspace(lo2, hi2, GRID))
    i, j = np.unravel_index(scan.eta.argmax(), scan.eta.shape)
    seen = run(machine, Settings(1e-3 * scan.solenoid1_a[i], 1e-3 * scan.solenoid2_a[j]))
    assert seen.mfc1_a / machine.source.current_a == pytest.approx(scan.eta.max())
    assert (seen.acct_a, seen.transmission) == pytest.approx((scan.acct_a[i, j], scan.transmission[i, j]))


def test_two_families_and_the_design_setting_in_one(machine, scan):
    families = scan.families()
    assert len(families) == 2
    assert families[0].eta >= families[1].eta > 0.95
    first = [f.solenoid_a[0] for f in families]
    assert min(first) == pytest.approx(180, abs=25)
    assert max(first) == pytest.approx(255, abs=25)
    best = run(machine, Settings(*settings(LPI, design_setting(LPI)))).mfc1_a / machine.source.current_a
    assert best > scan.eta.max() - 0.01


# -- the beam at the entrance --


def test_ellipse_of_particles_comes_back(beam):
    position, phase = beam
    assert position.shape == (4, phase.size)
    ellipse = rms_ellipse(position, 1)
    assert math.sqrt(ellipse.emittance_m * ellipse.beta_m) == pytest.approx(position[2].std(), rel=1e-6)
    outline = ellipse.outline(1.0) - np.array(ellipse.centre)[:, None]
    gamma = (1 + ellipse.alpha**2) / ellipse.beta_m
    invariant = gamma * outline[0] ** 2 + 2 * ellipse.alpha * outline[0] * outline[1] + ellipse.beta_m * outline[1] ** 2
    np.testing.assert_allclose(invariant, ellipse.emittance_m, rtol=1e-9)
    assert np.abs(outline[0]).max() == pytest.approx(position[2].std(), rel=1e-3)


def test_mismatch_factor():
    """An upright ellipse of twice the matched beta: the envelope beats up to sqrt(2) times the matched one."""
    matched = Ellipse(1e-5, 0.0, 0.1)
    assert matched.mismatch(matched) == 0.0
    assert Ellipse(1e-5, 0.0, 0.2).mismatch(matched) == pytest.approx(math.sqrt(2) - 1)
    assert Ellipse(1e-5, 0.0, 0.05).mismatch(matched) == pytest.approx(math.sqrt(2) - 1)


def test_acceptance_is_alike_in_both_planes_and_holds_the_beam(machine, beam, cells):
    """The planes differ by half an RF period, which the mean over the phase takes away."""
    scans = [acceptance(machine.table, beam[0], plane, 41, samples=32) for plane in (0, 1)]
    wide = [a.area_m(0.5) for a in scans]
    assert wide[0] == pytest.approx(wide[1], rel=0.05)
    scale = float(beta_gamma(cells.parameters.input_energy_ev, cells.parameters.mass_ev))
    assert 1e6 * scale * wide[0] == pytest.approx(5.8, rel=0.1)
    for a in scans:
        assert a.area_m(0.95) < a.area_m(0.5)
        assert a.share[20, 20] == 1.0
        edge = np.concatenate([a.share[0], a.share[-1], a.share[:, 0], a.share[:, -1]])
        assert edge.max() < 0.05
    # a beam on the axis in the other plane is tilted as the acceptance is
    tilt = np.sum(scans[0].share * scans[0].slope_rad[:, None] * scans[0].x_m)
    assert np.sign(tilt) == -np.sign(matched_beam(cells.parameters)[0])


# -- losses and voltage --


def test_losses_and_transmitted_are_everything(machine, cells):
    cases = loss_cases(LPI, machine)
    assert [name.split(",")[0] for name in cases] == ["design", "both solenoids × 1.1"]
    for lost, current_a in cases.values():
        assert lost.share.sum() + lost.unaccelerated + lost.transmitted == pytest.approx(1.0)
        assert lost.share.shape == (len(cells),)
        assert 0 < current_a <= machine.source.current_a
    (good, _), (bad, _) = cases.values()
    assert good.transmitted > 0.98
    assert bad.transmitted < 0.7


def test_energy_of_lost_particles(machine, cells):
    """Nothing is lost before it has the input energy nor with more than the buckets reach; at the start exactly it."""
    position, phase = entrance(LPI, machine, (198.0, 176.0))
    lost = losses(machine.table, position, phase)
    hit = lost.share > 0
    energy_ev = lost.energy_share[hit] / lost.share[hit] * cells.parameters.mass_ev
    where = np.flatnonzero(hit)
    np.testing.assert_allclose(energy_ev[where < 6], cells.parameters.input_energy_ev, rtol=1e-3)
    assert (energy_ev < 1.3 * cells.energy_ev[where]).all()
    assert (lost.energy_share[~hit] == 0).all()


def test_voltage_scan_is_the_tracker(machine, beam):
    seen = voltage_scan(machine.table, *beam, np.array([0.8, 1.0]))
    assert seen[0] < 0.01
    assert seen[1] == rfq.track(machine.table, *beam).transmission


# -- the command --


def beamctl(*argv):
    command = [sys.executable, "-m", "beamctl", "machine", "plots", *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.system
def test_command_writes_and_names_the_files(tmp_path):
    done = beamctl("lpi", "--out", str(tmp_path), "--grid", "3")
    assert done.returncode == 0, done.stderr
    assert [Path(line) for line in done.stdout.splitlines()] == [tmp_path / name for name in FILES]
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


@pytest.mark.system
def test_command_says_what_it_can_draw(tmp_path):
    refused = beamctl("cafe2", "--out", str(tmp_path / "none"))
    assert refused.returncode == 2
    assert "cafe2 is of kind linac; there are plots of injectors: lpi" in " ".join(refused.stderr.split())
    assert not (tmp_path / "none").exists()


def test_import_has_no_weight():
    loaded = "import sys, beamctl.training.injector_plots; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
