"""BPM readings and transmission against SciPy's distributions and against Monte Carlo; seeds in the messages."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ncx2

from simulators.diagnostics import median_noise_factor, read_bpms, transmitted_fraction
from simulators.errors_model import Errors, ErrorSpec, draw
from simulators.lattice import Lattice

BORE = 0.02


def errors(lattice: Lattice, n: int, seed: int, **spec: object) -> Errors:
    return draw(lattice, 5, replace(ErrorSpec(), **spec), np.random.default_rng(seed), n)


@pytest.mark.parametrize("rms", [1.5e-3, 3e-3, 5e-3])
@pytest.mark.parametrize("offset", [0.0, 3e-3, 12e-3, 19e-3])
def test_transmission_is_a_noncentral_chi_square(rms: float, offset: float) -> None:
    orbit = np.array([offset * np.cos(0.7), offset * np.sin(0.7)])
    value = transmitted_fraction(orbit, np.array([rms]), BORE)
    expected = ncx2.cdf((BORE / rms) ** 2, 2, (offset / rms) ** 2) if offset else 1 - np.exp(-0.5 * (BORE / rms) ** 2)
    assert value == pytest.approx(expected, abs=1e-9)


def test_transmission_against_particles() -> None:
    seed, n = 41, 200_000
    rng = np.random.default_rng(seed)
    particles = np.array([0.013, -0.009]) + 0.004 * rng.standard_normal((n, 2))
    inside = float((np.hypot(*particles.T) < BORE).mean())
    value = float(transmitted_fraction(np.array([0.013, -0.009]), np.array([0.004]), BORE))
    assert abs(value - inside) < 4 * np.sqrt(value * (1 - value) / n), f"seed {seed}"


def test_the_narrowest_place_counts() -> None:
    orbit = np.array([[0.0, 0.0, 0.012, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rms = np.array([[2e-3, 2e-3], [2e-3, 6e-3]])
    share = transmitted_fraction(orbit, rms, BORE)
    alone = [transmitted_fraction(orbit[i, 2:], rms[i, 1:], BORE) for i in range(2)]
    assert share.shape == (2,)
    np.testing.assert_array_equal(share, alone)


def test_transmission_of_lost_beams() -> None:
    far = transmitted_fraction(np.array([1.0, 0.0]), np.array([1e-3]), BORE)
    unknown = transmitted_fraction(np.array([np.nan, 0.0]), np.array([1e-3]), BORE)
    np.testing.assert_allclose([far, unknown], 0.0, atol=1e-12)


def test_transmission_falls_with_the_offset() -> None:
    orbit = np.stack([np.linspace(0.0, 0.04, 50), np.zeros(50)], axis=-1)
    share = transmitted_fraction(orbit, np.full((50, 1), 3e-3), BORE)
    assert (np.diff(share) <= 1e-12).all()
    assert share[0] > 0.999
    assert share[-1] < 1e-6


def test_perfect_bpms_show_the_orbit(lattice: Lattice) -> None:
    orbit = np.random.default_rng(1).normal(size=(4, 2 * lattice.n_bpm))
    readings = read_bpms(orbit, errors(lattice, 4, seed=1), np.random.default_rng(2))
    np.testing.assert_array_equal(readings, orbit)


def test_dead_bpms_read_zero_in_both_planes(lattice: Lattice) -> None:
    drawn = errors(lattice, 50, seed=3, dead_bpms=1, bpm_offset_m=1e-4, bpm_noise_m=(1e-5, 1e-4))
    orbit = np.full((50, 2 * lattice.n_bpm), 5e-3)
    readings = read_bpms(orbit, drawn, np.random.default_rng(4))
    assert ((readings == 0.0) == drawn.dead_channel).all()
    assert (drawn.dead_channel.sum(axis=1) == 2).all()


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_offset_and_noise(lattice: Lattice, factor: float) -> None:
    drawn = errors(lattice, 3, seed=5, bpm_offset_m=1e-4, bpm_noise_m=(3e-5, 1e-4))
    rng, orbit = np.random.default_rng(6), np.full((3, 2 * lattice.n_bpm), 1e-3)
    readings = np.array([read_bpms(orbit, drawn, rng, factor) for _ in range(4000)])
    noise = readings.std(axis=0) / (factor * drawn.bpm_noise_m[:, None])
    np.testing.assert_allclose(noise, 1.0, atol=0.06, err_msg="seeds 5, 6")
    np.testing.assert_allclose(readings.mean(axis=0) - orbit, drawn.bpm_offset_m, atol=8e-6)


@pytest.mark.parametrize("n", [1, 3, 5, 9, 15])
def test_noise_of_a_median(n: int) -> None:
    seed = 7
    readings = np.random.default_rng(seed).standard_normal((200_000, n))
    assert median_noise_factor(n) == pytest.approx(np.median(readings, axis=1).std(), rel=0.015), f"seed {seed}"
