"""The LEBT against drifts, envelope equation, soft-field integration and symmetries."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from simulators.beam import beta_gamma, rigidity_tm
from simulators.diagnostics import transmitted_fraction
from simulators.elements import TanhProfile
from simulators.lebt import LebtGeometry, Optics, Source, perveance, source_particles, transport
from simulators.rfq_design import PROTON_EV

OPEN = LebtGeometry(pipe_m=1.0, cone_m=1.0)
LINEAR = replace(OPEN, edge_m=1e9)
"""no apertures; the second without aberration"""
LENGTH = sum(OPEN.drift_m) + 2 * OPEN.solenoid_m
RHO = float(rigidity_tm(35e3, PROTON_EV, 1.0))
OFF = Optics((0.0, 0.0))
FAMILY = Optics((0.18, 0.16))


def particles(source: Source | None = None, n: int = 2000, seed: int = 51) -> np.ndarray:
    return source_particles(source or Source(), np.random.default_rng(seed).standard_normal((4, n)), 35e3)


def sphere(n: int, seed: int) -> np.ndarray:
    """Normal numbers with exactly unit covariance and no mean, so that rms values carry no noise."""
    z = np.random.default_rng(seed).standard_normal((4, n))
    z -= z.mean(axis=1, keepdims=True)
    return np.linalg.solve(np.linalg.cholesky(z @ z.T / n), z)


def as_complex(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return position[0] + 1j * position[2], position[1] + 1j * position[3]


def test_source_has_its_emittance_and_twiss() -> None:
    source = Source(emittance_m=0.25e-6, alpha=-2.0, beta_m=0.1, offset=(1e-3 + 2e-3j, 3e-3 - 1e-3j))
    start = source_particles(source, sphere(5000, 52), 35e3).astype(float)
    geometric = 0.25e-6 / float(beta_gamma(35e3, PROTON_EV))
    expected = geometric * np.array([[0.1, 2.0], [2.0, 50.0]])
    np.testing.assert_allclose(np.cov(start[:2], bias=True), expected, rtol=1e-4)
    np.testing.assert_allclose(np.cov(start[2:], bias=True), expected, rtol=1e-4)
    np.testing.assert_allclose(start.mean(axis=1), [1e-3, 3e-3, 2e-3, -1e-3], rtol=1e-4)


def test_strength_zero_is_a_drift() -> None:
    start = particles()
    out = transport(OPEN, OFF, start, 0.0)
    assert out.alive.all()
    np.testing.assert_allclose(out.position[0], start[0] + LENGTH * start[1], atol=5e-7)
    np.testing.assert_allclose(out.position[3], start[3], atol=1e-8)
    assert (out.field[:, 0] == 0).all()


def test_corrector_is_a_lever() -> None:
    out = transport(OPEN, Optics((0.0, 0.0), (5e-3 - 2e-3j, 0j)), particles(), 0.0)
    bare = transport(OPEN, OFF, particles(), 0.0)
    u, d = (a - b for a, b in zip(as_complex(out.position), as_complex(bare.position), strict=True))
    arm = OPEN.drift_m[1] + OPEN.solenoid_m + OPEN.drift_m[2]
    np.testing.assert_allclose(u, (5e-3 - 2e-3j) * arm, rtol=1e-3)
    np.testing.assert_allclose(d, 5e-3 - 2e-3j, rtol=1e-3)


def test_solenoids_conserve_the_emittance_without_aberration() -> None:
    def emittance4(p: np.ndarray) -> float:
        return float(np.linalg.det(np.cov(p.astype(float), bias=True))) ** 0.25

    start = particles()
    assert emittance4(transport(LINEAR, FAMILY, start, 0.2e-3).position) == pytest.approx(emittance4(start), rel=1e-3)
    assert emittance4(transport(OPEN, FAMILY, start, 0.2e-3).position) > emittance4(start)


def test_spread_of_a_cold_beam_by_its_charge() -> None:
    """Laminar beam, r'' = K / r: z = r0 / sqrt(2 K) int_1^(r/r0) du / sqrt(ln u) (Reiser, ch. 4)."""
    current_a, radius = 0.5e-3, 3e-3
    source = Source(emittance_m=1e-12, alpha=0.0, beta_m=radius**2 / 2 / (1e-12 / float(beta_gamma(35e3, PROTON_EV))))
    # uniform round beam of the same rms: <r^2> = radius^2, edge = sqrt(2) radius
    start = source_particles(source, sphere(2000, 53), 35e3)
    out = transport(OPEN, OFF, start, current_a)
    ratio = math.sqrt(float(np.mean(np.abs(as_complex(out.position)[0]) ** 2))) / radius
    edge = math.sqrt(2.0) * radius
    z = (
        edge
        / math.sqrt(2 * perveance(current_a, 35e3))
        * quad(lambda v: 2 * math.exp(v * v), 0, math.sqrt(math.log(ratio)))[0]
    )
    print(f"grows {ratio:.3f}-fold over {z:.4f} m")
    assert ratio > 1.2
    assert z == pytest.approx(LENGTH, rel=2e-3)


@pytest.mark.parametrize("unneutralised_a", [0.0, 0.15e-3, 0.36e-3])
@pytest.mark.parametrize("solenoids", [(0.18, 0.16), (0.27, 0.27)])
def test_rms_follows_the_envelope_equation(solenoids: tuple[float, float], unneutralised_a: float) -> None:
    """s'' = -kappa^2 s + K / (4 s) + eps^2 / s^3, integrated through the hard edges."""
    source = Source()
    eps = source.emittance_m / float(beta_gamma(35e3, PROTON_EV))
    k = perveance(unneutralised_a, 35e3)
    y = [math.sqrt(eps * source.beta_m), -source.alpha * math.sqrt(eps / source.beta_m)]
    kappas = (0.0, solenoids[0], 0.0, solenoids[1], 0.0)
    lengths = (OPEN.drift_m[0], OPEN.solenoid_m, OPEN.drift_m[1], OPEN.solenoid_m, OPEN.drift_m[2])
    for field, length in zip(kappas, lengths, strict=True):
        k2 = (field / (2 * RHO)) ** 2
        run = solve_ivp(
            lambda _, s, k2=k2: [s[1], -k2 * s[0] + k / (4 * s[0]) + eps**2 / s[0] ** 3],
            (0, length),
            y,
            rtol=1e-9,
            atol=1e-12,
        )
        y = run.y[:, -1]
    out = transport(LINEAR, Optics(solenoids), source_particles(source, sphere(4000, 54), 35e3), unneutralised_a)
    rms = math.sqrt(float(np.mean(np.abs(as_complex(out.position)[0]) ** 2)) / 2)
    print(f"rms {rms * 1e3:.4f} mm, envelope {y[0] * 1e3:.4f} mm")
    assert rms == pytest.approx(y[0], rel=0.02)


def test_aberration_is_that_of_a_soft_edge() -> None:
    """A ray at 15 mm: cubic part of the slope behind a solenoid with r'' = -kappa^2 r + kappa kappa'' r^3 / 2."""
    w, b = OPEN.edge_m, 0.2
    profile = TanhProfile(0.14, w)
    s = np.linspace(-0.4, 0.4, 80_001)
    f = profile(s)
    effective = float(np.trapezoid(f * f, s))
    kappa0 = b / (2 * RHO) * float(f.max())
    kappa = b / (2 * RHO) * f
    second = np.gradient(np.gradient(kappa, s), s)

    def exit_slope(r0: float, cubic: float) -> float:
        def slope(z: float, y: np.ndarray) -> list[float]:
            k, kk = np.interp(z, s, kappa), np.interp(z, s, second)
            return [y[1], -k * k * y[0] + cubic * 0.5 * k * kk * y[0] ** 3]

        return float(solve_ivp(slope, (-0.4, 0.4), [r0, 0.0], rtol=1e-8, atol=1e-13, max_step=0.004).y[1, -1])

    soft = exit_slope(15e-3, 1.0) - exit_slope(15e-3, 0.0)
    geometry = replace(OPEN, solenoid_m=effective)
    ray = np.array([[15e-3], [0.0], [0.0], [0.0]], dtype=np.float32)
    slopes = []
    for g in (geometry, replace(geometry, edge_m=1e9)):
        optics = Optics((kappa0 * 2 * RHO, 0.0))
        slopes.append(abs(as_complex(transport(g, optics, ray, 0.0).position)[1][0]))
    hard = -(slopes[0] - slopes[1])
    print(f"cubic slope soft {soft * 1e3:.4f} mrad, hard edge {hard * 1e3:.4f} mrad")
    assert hard == pytest.approx(soft, rel=0.2)


def test_everything_displaced_is_the_beam_displaced() -> None:
    d = 1.5e-3 - 0.7e-3j
    start = particles()
    moved = start + np.array([[d.real], [0], [d.imag], [0]], dtype=np.float32)
    out = transport(OPEN, FAMILY, start, 0.2e-3)
    out_moved = transport(OPEN, replace(FAMILY, displacement_m=(d, d)), moved, 0.2e-3)
    np.testing.assert_allclose(as_complex(out_moved.position)[0], as_complex(out.position)[0] + d, atol=2e-7)


def test_everything_turned_is_the_beam_turned() -> None:
    """Axial symmetry: all complex inputs times exp(i angle) turn the result by the angle."""
    turn = np.exp(0.7j)
    source = Source(offset=(1e-3 + 0j, 2e-3j))
    optics = Optics((0.2, 0.15), (5e-3 + 1e-3j, -4e-3j), (1e-3 + 0j, -0.5e-3 + 1e-3j))
    u, d = as_complex(particles(source))
    start_turned = np.stack([(u * turn).real, (d * turn).real, (u * turn).imag, (d * turn).imag]).astype(np.float32)
    turned = Optics(
        optics.solenoid_t, tuple(k * turn for k in optics.kick_rad), tuple(k * turn for k in optics.displacement_m)
    )
    out = as_complex(transport(OPEN, optics, particles(source), 0.3e-3).position)[0]
    out_turned = as_complex(transport(OPEN, turned, start_turned, 0.3e-3).position)[0]
    np.testing.assert_allclose(out_turned, out * turn, atol=1e-6)


def test_losses_at_the_cone_are_those_of_a_gaussian() -> None:
    geometry = replace(OPEN, cone_m=8e-3)
    source = Source(alpha=0.0, beta_m=0.5, offset=(5e-3 + 2e-3j, 0j))
    out = transport(geometry, OFF, particles(source, 20_000, 55), 0.0)
    u = as_complex(transport(OPEN, OFF, particles(source, 20_000, 55), 0.0).position)[0]
    rms = math.sqrt(float(np.var(u)) / 2)
    expected = float(transmitted_fraction(np.array([u.mean().real, u.mean().imag]), np.array([rms]), 8e-3))
    assert 0.2 < expected < 0.9
    assert out.alive.mean() == pytest.approx(expected, abs=0.01)


def test_lost_particles_carry_no_charge() -> None:
    """Behind a pipe that stops part of the beam the kick is that of the surviving current."""
    start = particles(Source(beta_m=0.5))
    narrow = replace(OPEN, pipe_m=8e-3)
    lossy = transport(narrow, OFF, start, 0.3e-3)
    survive = lossy_after(narrow, start)
    share = float(np.mean(survive))
    assert 0.2 < share < 0.8
    first, behind = lossy.field[5], lossy.field[6]
    alone = transport(OPEN, OFF, start[:, survive], 0.3e-3 * share).field[6]
    assert behind[0] == pytest.approx(alone[0], rel=0.02)
    assert behind[0] != pytest.approx(first[0], rel=0.02)


def lossy_after(geometry: LebtGeometry, start: np.ndarray) -> np.ndarray:
    """Which particles survive the first drift."""
    short = replace(geometry, drift_m=(0.3, 1e-6, 1e-6), solenoid_m=1e-6)
    return transport(short, OFF, start, 0.3e-3).alive


def test_h2_bends_less_by_root_two() -> None:
    none = np.zeros_like(transport(OPEN, FAMILY, particles(), 0.0).field)
    strong = Optics((0.2 * math.sqrt(2), 0.15 * math.sqrt(2)), (math.sqrt(2) * 3e-3 + 0j, 0j))
    h2 = transport(OPEN, strong, particles(), 0.0, follow=none)
    protons = transport(OPEN, Optics((0.2, 0.15), (3e-3 + 0j, 0j)), particles(), 0.0)
    np.testing.assert_allclose(h2.position, protons.position, atol=1e-6)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 600])
def test_row_of_a_batch_is_a_solo_run(n: int) -> None:
    """Without space charge, which couples the particles."""
    start = particles(n=600)
    batch, part = (transport(LebtGeometry(), FAMILY, p, 0.0) for p in (start, start[:, :n]))
    np.testing.assert_array_equal(part.position, batch.position[:, :n])
    np.testing.assert_array_equal(part.alive, batch.alive[:n])
