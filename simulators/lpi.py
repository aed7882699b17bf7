"""The light-particle injector as a tuner sees it: six knobs in, two currents out.

Source, LEBT (:mod:`simulators.lebt`), ACCT, RFQ (:mod:`simulators.rfq`), Faraday cup MFC1 behind. A machine keeps
its random particles, so the same settings always give the same currents; at 1024 particles their finite number
makes the transmission uneven by about 0.01, much as a real monitor is.

The source also delivers H2+. What of it passes the entrance cone counts at the ACCT; the RFQ accelerates none of
it, so the transmission MFC1 / ACCT of a perfect setting is 1 / (1 + share) and not 1. Protons that leave the RFQ
with less than 0.9 of its design energy do not reach MFC1 either.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import lebt, rfq
from simulators.beam import Array
from simulators.lebt import LebtGeometry, Optics, Source
from simulators.rfq import StepTable

N_PARTICLES = 1024
H2_PARTICLES = 256
"""H2+ is a few per cent of the current; its share needs no finer sampling"""
Range = tuple[float, float]


class Settings(NamedTuple):
    """The knobs: solenoid fields in T, kicks of the corrector pairs behind them in rad."""

    solenoid1_t: float
    solenoid2_t: float
    kick1_x_rad: float = 0.0
    kick1_y_rad: float = 0.0
    kick2_x_rad: float = 0.0
    kick2_y_rad: float = 0.0


class Reading(NamedTuple):
    """True currents in A; the transmission is not a number where the ACCT sees no beam."""

    acct_a: float
    mfc1_a: float
    transmission: float


@dataclass(frozen=True)
class LpiSpec:
    """How injectors differ: intervals of uniform distributions, half-widths where a single number stands.

    The sister injectors of ``docs/explanation/lpi.md`` set the scale; every figure is an assumption about ours.

    Attributes:
        emittance_m: normalised rms, m rad.
        alpha, beta_m: Twiss parameters behind the extraction.
        offset_m, angle_rad: of the beam at the source, in x and in y.
        current_a: protons behind the extraction.
        neutralisation: share of the space charge that the residual gas compensates.
        h2_share: H2+ current relative to the protons.
        displacement_m: of each solenoid, in x and in y.
        vane_voltage: relative to the design.
        calibration: relative error of each solenoid and each corrector.
        reversed_correctors: how many correctors have the opposite polarity.
    """

    emittance_m: Range = (0.14e-6, 0.30e-6)
    alpha: Range = (-1.5, -0.5)
    beta_m: Range = (0.05, 0.08)
    offset_m: float = 1.0e-3
    angle_rad: float = 4.0e-3
    current_a: Range = (1.3e-3, 1.8e-3)
    neutralisation: Range = (0.8, 1.0)
    h2_share: Range = (0.0, 0.12)
    displacement_m: float = 1.0e-3
    vane_voltage: Range = (0.97, 1.03)
    calibration: float = 0.05
    reversed_correctors: int = 0


@dataclass(frozen=True)
class LpiMachine:
    """One injector as it really is.

    Attributes:
        geometry, table: LEBT and RFQ.
        source: proton beam.
        neutralisation, h2_share, vane_voltage: see :class:`LpiSpec`.
        displacement_m: of the solenoids, dx + i dy.
        solenoid_scale: field per setting, shape (2,).
        corrector_scale: kick per setting in the order of :class:`Settings`, negative where reversed, shape (4,).
        normal: standard normal numbers of the particles, shape (4, n).
        phase: RF phase at which each enters the RFQ, turns, shape (n,).
    """

    geometry: LebtGeometry
    table: StepTable
    source: Source
    neutralisation: float
    h2_share: float
    vane_voltage: float
    displacement_m: tuple[complex, complex]
    solenoid_scale: Array
    corrector_scale: Array
    normal: Array
    phase: Array


def nominal(
    table: StepTable, rng: np.random.Generator, geometry: LebtGeometry | None = None, n: int = N_PARTICLES
) -> LpiMachine:
    """A machine without errors, 90 % neutralised and free of H2+; ``rng`` draws the particles only."""
    return LpiMachine(
        geometry or LebtGeometry(), table, Source(), 0.9, 0.0, 1.0, (0j, 0j), np.ones(2), np.ones(4),
        rng.standard_normal((4, n)), _phases(rng, n),
    )  # fmt: skip


def draw(
    table: StepTable,
    spec: LpiSpec,
    rng: np.random.Generator,
    geometry: LebtGeometry | None = None,
    n: int = N_PARTICLES,
) -> LpiMachine:
    """A random machine; numbers are drawn in a fixed order whatever their size.

    Args:
        table: cells of the RFQ.
        spec: sizes of the errors.
        rng: the only source of randomness.
        geometry: of the LEBT, the default one when left out.
        n: number of particles.
    """

    def plane_pair(half_width: float) -> complex:
        return half_width * complex(*rng.uniform(-1.0, 1.0, 2))

    source = Source(
        emittance_m=rng.uniform(*spec.emittance_m),
        alpha=rng.uniform(*spec.alpha),
        beta_m=rng.uniform(*spec.beta_m),
        offset=(plane_pair(spec.offset_m), plane_pair(spec.angle_rad)),
        current_a=rng.uniform(*spec.current_a),
    )
    neutralisation, h2_share = rng.uniform(*spec.neutralisation), rng.uniform(*spec.h2_share)
    displacement = (plane_pair(spec.displacement_m), plane_pair(spec.displacement_m))
    voltage = rng.uniform(*spec.vane_voltage)
    scale = 1.0 + spec.calibration * rng.uniform(-1.0, 1.0, 6)
    polarity = np.where(rng.permutation(4) < spec.reversed_correctors, -1.0, 1.0)
    return LpiMachine(
        geometry or LebtGeometry(), table, source, neutralisation, h2_share, voltage, displacement,
        scale[:2], scale[2:] * polarity, rng.standard_normal((4, n)), _phases(rng, n),
    )  # fmt: skip


def run(machine: LpiMachine, settings: Settings) -> Reading:
    """True currents of a machine at the given settings; the same call gives the same answer."""
    m, current_a = machine, machine.source.current_a
    kick = m.corrector_scale * np.array(settings[2:])
    optics = Optics(
        (m.solenoid_scale[0] * settings.solenoid1_t, m.solenoid_scale[1] * settings.solenoid2_t),
        (complex(kick[0], kick[1]), complex(kick[2], kick[3])),
        m.displacement_m,
    )
    start = lebt.source_particles(m.source, m.normal, m.geometry.energy_ev)
    arrived = lebt.transport(m.geometry, optics, start, (1.0 - m.neutralisation) * current_a)
    acct_a = current_a * float(np.mean(arrived.alive))
    if m.h2_share > 0.0:
        h2 = lebt.transport(m.geometry, optics, start[:, :H2_PARTICLES], 0.0, follow=arrived.field)
        acct_a += current_a * m.h2_share * float(np.mean(h2.alive))
    tracked = rfq.track(m.table, arrived.position[:, arrived.alive], m.phase[arrived.alive], m.vane_voltage)
    mfc1_a = current_a * int(np.count_nonzero(tracked.transmitted)) / m.phase.size
    return Reading(acct_a, mfc1_a, mfc1_a / acct_a if acct_a > 0.0 else math.nan)


def _phases(rng: np.random.Generator, n: int) -> Array:
    """A DC beam: all phases alike, one particle in each n-th of a turn, in random order."""
    return np.asarray((rng.permutation(n) + rng.random(n)) / n)


@dataclass(frozen=True)
class CurrentMonitor:
    """What a current monitor adds to the true current.

    Attributes:
        noise_a: rms of one reading (CAFe II ACCT 2017: 0.010 mA at 2.4 mA).
        drift_a: rms of the slow drift of its zero (2017: 0.1 mA over a shift).
        drift_time_s: time constant of the drift.
        glitch_share: share of the readings whose pulse is missed, which then show no beam.
    """

    noise_a: float = 10e-6
    drift_a: float = 0.0
    drift_time_s: float = 3600.0
    glitch_share: float = 0.0


def read_current(
    true_a: Array, zero_a: Array, monitor: CurrentMonitor, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Readings in A of any shape, from the true currents and the drifted zeros of the same shape."""
    missed = rng.random(true_a.shape) < monitor.glitch_share
    return np.where(missed, 0.0, true_a) + zero_a + monitor.noise_a * rng.standard_normal(true_a.shape)


def drifted_zero(zero_a: Array, elapsed_s: float, monitor: CurrentMonitor, rng: np.random.Generator) -> Array:
    """The zero of a monitor ``elapsed_s`` later, A: a random walk that forgets (Ornstein and Uhlenbeck)."""
    memory = math.exp(-elapsed_s / monitor.drift_time_s)
    spread = monitor.drift_a * math.sqrt(1.0 - memory * memory)
    return np.asarray(memory * zero_a + spread * rng.standard_normal(zero_a.shape))
