"""Cell table of a four-vane RFQ from first principles, and its transverse phase advance.

Two-term potential (Kapchinskii and Teplyakov 1970), V between neighbouring vanes, k = pi / cell length::

    U = V/2 [X (x^2 - y^2) / a^2 + A I0(kr) cos kz] sin(omega t + phi)
    A = (m^2 - 1) / (m^2 I0(ka) + I0(mka))    X = 1 - A I0(ka)    r0 = a / sqrt(X)

The sections follow Crandall, Stokes and Wangler, 1979 Linear Accelerator Conference, p. 205: radial matcher,
shaper, gentle buncher, accelerator, all at the same r0 and voltage, so the focusing strength B is constant.
Energies are eV, angles rad, lengths m.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import i0

from simulators.beam import C_M_S, Array, beta_gamma, gamma

PROTON_EV = 938.272088e6
"""rest energy of the proton, eV"""


@dataclass(frozen=True)
class RfqParameters:
    """What a designer chooses; the defaults stand for the 162.5 MHz, 2.1 MeV proton RFQ of an injector.

    Attributes:
        frequency_hz: of the RF.
        mass_ev: rest energy of the ion (charge 1).
        input_energy_ev: kinetic energy of the incoming DC beam.
        voltage_v: between neighbouring vanes.
        r0_m: mean aperture radius.
        modulation: m in the accelerator.
        matcher_cells: the focusing rises with sin^2 over these.
        shaper_cells: cells over which the phase leaves -90 deg.
        shaper_phase_rad: synchronous phase behind the shaper.
        final_phase_rad: synchronous phase in the accelerator.
        accelerator_cells: cells with constant phase and modulation.
    """

    frequency_hz: float = 162.5e6
    mass_ev: float = PROTON_EV
    input_energy_ev: float = 35e3
    voltage_v: float = 65e3
    r0_m: float = 5.731e-3
    modulation: float = 2.2
    matcher_cells: int = 6
    shaper_cells: int = 50
    shaper_phase_rad: float = math.radians(-84.0)
    final_phase_rad: float = math.radians(-30.0)
    accelerator_cells: int = 59

    @property
    def wavelength_m(self) -> float:
        """Free-space wavelength."""
        return C_M_S / self.frequency_hz

    @property
    def focusing(self) -> float:
        """B = (q V / m c^2) (lambda / r0)^2, dimensionless."""
        return self.voltage_v / self.mass_ev * (self.wavelength_m / self.r0_m) ** 2


@dataclass(frozen=True)
class CellTable:
    """One row per cell, in the order of the beam; every array has shape (n,).

    Attributes:
        parameters: what the table was made from.
        length_m: cell length, half a period of the modulation.
        energy_ev: energy of the synchronous particle in the middle of the cell.
        phase_rad: synchronous phase in the middle of the cell.
        acceleration: A of the two-term potential, dimensionless.
        modulation: m of the vane tips.
        aperture_m: smallest distance a of a vane tip from the axis.
        exit_energy_ev: synchronous energy behind the last cell, a single number.
        gentle_start, accelerator_start: index of the first cell of the section.
    """

    parameters: RfqParameters
    length_m: Array
    energy_ev: Array
    phase_rad: Array
    acceleration: Array
    modulation: Array
    aperture_m: Array
    exit_energy_ev: float
    gentle_start: int
    accelerator_start: int

    def __len__(self) -> int:
        return len(self.length_m)


def beta_of(energy_ev: float, mass_ev: float) -> float:
    """Velocity in units of c."""
    return float(beta_gamma(energy_ev, mass_ev) / gamma(energy_ev, mass_ev))


def acceleration_of(m: float, k: float, r0_m: float) -> tuple[float, float]:
    """A and the aperture a in m of a vane with modulation ``m`` and mean radius ``r0_m``; ``k`` in 1/m."""

    def of(a: float) -> float:
        return float((m * m - 1.0) / (m * m * i0(k * a) + i0(m * k * a)))

    a = r0_m
    for _ in range(100):  # a fixed point: X changes slowly with a
        a = 0.5 * (a + r0_m * math.sqrt(1.0 - of(a) * i0(k * a)))
    return of(a), a


def modulation_of(acceleration: float, k: float, r0_m: float) -> tuple[float, float]:
    """The smallest modulation that gives A, and its aperture in m; inverse of :func:`acceleration_of`."""
    a = r0_m
    for _ in range(100):
        a = 0.5 * (a + r0_m * math.sqrt(1.0 - acceleration * i0(k * a)))

    def excess(m: float) -> float:
        return float(m * m - 1.0 - acceleration * (m * m * i0(k * a) + i0(m * k * a)))

    upper = 1.01  # A falls again where mka is large, so look for the first crossing
    while excess(upper) < 0.0:
        upper *= 1.01
    return float(brentq(excess, 1.0, upper)), a


def bucket_length(phase_rad: float) -> float:
    """Phase width psi of the bucket of a synchronous phase: tan phi_s = (sin psi - psi) / (1 - cos psi)."""
    t = math.tan(phase_rad)
    return float(brentq(lambda p: math.sin(p) - p - t * (1.0 - math.cos(p)), 1e-3, 2.0 * math.pi - 1e-9))


def bucket_phase(psi: float) -> float:
    """Synchronous phase of a bucket of width psi; inverse of :func:`bucket_length`."""
    return math.atan2(math.sin(psi) - psi, 1.0 - math.cos(psi))


class _Builder:
    """Adds cells behind one another for one synchronous particle."""

    def __init__(self, parameters: RfqParameters) -> None:
        self.p = parameters
        self.energy = parameters.input_energy_ev
        self.rows: list[tuple[float, float, float, float]] = []

    @property
    def beta(self) -> float:
        return beta_of(self.energy, self.p.mass_ev)

    def add(self, acceleration: float, phase: float, phase_change: float = 0.0) -> None:
        """One cell: dW = (pi/4) q A V cos phi_s; length (beta lambda / 2)(1 + change of phi_s / pi)."""
        gain = 0.25 * math.pi * acceleration * self.p.voltage_v * math.cos(phase)
        middle = self.energy + 0.5 * gain
        half = 0.5 * beta_of(middle, self.p.mass_ev) * self.p.wavelength_m
        self.rows.append((half * (1.0 + phase_change / math.pi), middle, phase, acceleration))
        self.energy += gain


def design(parameters: RfqParameters | None = None) -> CellTable:
    """The cell table of ``parameters`` (the defaults of :class:`RfqParameters` when left out)."""
    p = parameters or RfqParameters()
    # energy behind the shaper and A there depend on each other: the gentle buncher fixes A backwards from m
    shaper_end = float(brentq(lambda w: _through_shaper(p, w).energy - w, p.input_energy_ev, 3.0 * p.input_energy_ev))
    cells = _through_shaper(p, shaper_end)
    gentle_start = len(cells.rows)
    beta_s, psi_s, a_s = cells.beta, bucket_length(p.shaper_phase_rad), _gentle_start(p, shaper_end)
    phase = p.shaper_phase_rad
    while phase < p.final_phase_rad:
        beta = cells.beta
        phase = bucket_phase(psi_s * beta_s / beta)
        if phase >= p.final_phase_rad:
            break
        acceleration = a_s * (beta / beta_s) ** 2 * math.sin(p.shaper_phase_rad) / math.sin(phase)
        gain = 0.25 * math.pi * acceleration * p.voltage_v * math.cos(phase)
        later = bucket_phase(psi_s * beta_s / beta_of(cells.energy + gain, p.mass_ev))
        later = min(later, p.final_phase_rad)
        cells.add(acceleration, 0.5 * (phase + later), later - phase)
    accelerator_start = len(cells.rows)
    for _ in range(p.accelerator_cells):
        k = 2.0 * math.pi / (cells.beta * p.wavelength_m)
        cells.add(acceleration_of(p.modulation, k, p.r0_m)[0], p.final_phase_rad)
    return _table(p, cells, gentle_start, accelerator_start)


def _gentle_start(p: RfqParameters, energy_ev: float) -> float:
    """A at the start of the gentle buncher, so that its end has the full modulation.

    In between psi beta (length of the bunch) and A |sin phi_s| / beta^2 (longitudinal frequency) stay constant.
    """
    beta_s = beta_of(energy_ev, p.mass_ev)
    beta_e = beta_s * bucket_length(p.shaper_phase_rad) / bucket_length(p.final_phase_rad)
    full, _ = acceleration_of(p.modulation, 2.0 * math.pi / (beta_e * p.wavelength_m), p.r0_m)
    return full * (beta_s / beta_e) ** 2 * math.sin(p.final_phase_rad) / math.sin(p.shaper_phase_rad)


def _through_shaper(p: RfqParameters, end_energy_ev: float) -> _Builder:
    """Matcher and shaper, whose A and phase rise linearly to the start of the gentle buncher."""
    cells = _Builder(p)
    end = _gentle_start(p, end_energy_ev)
    change = (p.shaper_phase_rad + 0.5 * math.pi) / p.shaper_cells
    for _ in range(p.matcher_cells):
        cells.add(0.0, -0.5 * math.pi)
    for i in range(p.shaper_cells):
        cells.add(end * (i + 0.5) / p.shaper_cells, -0.5 * math.pi + change * (i + 0.5), change)
    return cells


def _table(p: RfqParameters, cells: _Builder, gentle_start: int, accelerator_start: int) -> CellTable:
    length, energy, phase, acceleration = np.array(cells.rows).T
    tips = [modulation_of(a, math.pi / x, p.r0_m) for a, x in zip(acceleration, length, strict=True)]
    modulation, aperture = np.array(tips).T
    return CellTable(
        p, length, energy, phase, acceleration, modulation, aperture, cells.energy, gentle_start, accelerator_start
    )


def defocusing(p: RfqParameters, acceleration: float, phase_rad: float, energy_ev: float) -> float:
    """Delta_rf = pi^2 q V A sin phi_s / (2 m c^2 beta^2), negative where the RF defocuses."""
    beta = beta_of(energy_ev, p.mass_ev)
    return math.pi**2 * p.voltage_v * acceleration * math.sin(phase_rad) / (2.0 * p.mass_ev * beta**2)


def phase_advance_smooth(focusing: float, defocusing_rf: float = 0.0) -> float:
    """Transverse phase advance per beta lambda in rad, smooth approximation: sigma0^2 = B^2/(8 pi^2) + Delta_rf."""
    return math.sqrt(focusing**2 / (8.0 * math.pi**2) + defocusing_rf)


def phase_advance_floquet(focusing: float, defocusing_rf: float = 0.0, phase_rad: float = -0.5 * math.pi) -> float:
    """Transverse phase advance per beta lambda in rad, from the trace of one period of Hill's equation.

    x'' = -[B + 2 Delta_rf / sin phi_s cos 2 pi t] sin(2 pi t + phi_s) x over t = 0 to 1, integrated by
    4th-order Runge-Kutta. Without acceleration it is Mathieu's equation.
    """
    n = 2000
    h = 1.0 / n
    ripple = 2.0 * defocusing_rf / math.sin(phase_rad)

    def slope(t: float, y: Array) -> Array:
        force = -(focusing + ripple * math.cos(2.0 * math.pi * t)) * math.sin(2.0 * math.pi * t + phase_rad)
        return np.stack([y[1], force * y[0]])

    y = np.eye(2)
    for i in range(n):
        t = i * h
        k1 = slope(t, y)
        k2 = slope(t + 0.5 * h, y + 0.5 * h * k1)
        k3 = slope(t + 0.5 * h, y + 0.5 * h * k2)
        k4 = slope(t + h, y + h * k3)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return math.acos(0.5 * float(np.trace(y)))


def matched_beam(p: RfqParameters, n_phase: int = 32, per_cell: int = 64) -> tuple[float, float]:
    """Twiss alpha and beta in m, alike in both planes, of the beam that suits the entrance of the radial matcher.

    Behind the matcher the focusing is periodic and every RF phase has its own matched ellipse. Taken back
    through the matcher, where the focusing fades, the ellipses nearly agree; their mean is the answer.
    """
    half = 0.5 * beta_of(p.input_energy_ev, p.mass_ev) * p.wavelength_m
    h = half / per_cell
    sigma = np.zeros((2, 2))
    for phase in 2.0 * math.pi * np.arange(n_phase) / n_phase:
        maps = [np.eye(2), np.eye(2)]
        for i in range((p.matcher_cells + 2) * per_cell):
            where = (i + 0.5) / per_cell
            behind = where > p.matcher_cells
            ramp = 1.0 if behind else math.sin(0.5 * math.pi * where / p.matcher_cells) ** 2
            force = ramp * p.focusing / (2.0 * half) ** 2 * math.sin(math.pi * where + phase)
            drift = np.array([[1.0, 0.5 * h], [0.0, 1.0]])
            maps[int(behind)] = drift @ np.array([[1.0, 0.0], [-h * force, 1.0]]) @ drift @ maps[int(behind)]
        matcher, period = maps
        cosine = 0.5 * float(np.trace(period))
        sine = math.copysign(math.sqrt(1.0 - cosine**2), period[0, 1])
        alpha, beta = float(period[0, 0] - cosine) / sine, float(period[0, 1]) / sine
        back = np.linalg.inv(matcher)
        sigma += back @ np.array([[beta, -alpha], [-alpha, (1.0 + alpha**2) / beta]]) @ back.T
    sigma /= math.sqrt(np.linalg.det(sigma))
    return -float(sigma[0, 1]), float(sigma[0, 0])
