"""The beam at the entrance of an RFQ and what becomes of it: ellipses, acceptance, losses. SI units."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulators import rfq
from simulators.rfq import StepTable

Array = NDArray[np.float64]
PLANES = ("x", "y")
WIDEST = (2.0, 0.4)
"""the acceptance is looked for within so many r0, and rad"""


@dataclass(frozen=True)
class Ellipse:
    """An rms ellipse: geometric emittance in m rad, Twiss alpha, beta in m, centre (x, x') in m, rad."""

    emittance_m: float
    alpha: float
    beta_m: float
    centre: tuple[float, float] = (0.0, 0.0)

    def outline(self, rms: float, n: int = 181) -> Array:
        """(x, x') of the ellipse ``rms`` times as large in both directions, shape (2, n)."""
        t = np.linspace(0.0, 2.0 * math.pi, n)
        size, slope = math.sqrt(self.emittance_m * self.beta_m), math.sqrt(self.emittance_m / self.beta_m)
        x, xp = size * np.cos(t), -slope * (self.alpha * np.cos(t) + np.sin(t))
        return np.array([self.centre[0] + rms * x, self.centre[1] + rms * xp])

    def mismatch(self, other: "Ellipse") -> float:
        """How much larger this one's envelope becomes where ``other`` is matched (Wangler, RF Linear Accelerators)."""
        gamma, wanted = ((1.0 + e.alpha**2) / e.beta_m for e in (self, other))
        delta = max((self.alpha - other.alpha) ** 2 - (self.beta_m - other.beta_m) * (gamma - wanted), 0.0)
        return math.sqrt(1.0 + 0.5 * (delta + math.sqrt(delta * (delta + 4.0)))) - 1.0


def rms_ellipse(position: Array, plane: int) -> Ellipse:
    """Of particles (x, x', y, y'), shape (4, n); ``plane`` 0 or 1."""
    pair = position[2 * plane : 2 * plane + 2]
    sigma, centre = np.cov(pair, bias=True), pair.mean(axis=1)
    emittance = math.sqrt(np.linalg.det(sigma))
    return Ellipse(emittance, -float(sigma[0, 1]) / emittance, float(sigma[0, 0]) / emittance, (centre[0], centre[1]))


@dataclass(frozen=True)
class Acceptance:
    """Transmitted share of particles that start at (x, x') in one plane, as the beam does in the other.

    Attributes:
        x_m, slope_rad: the scan, shapes (n,).
        share: averaged over RF phase and the other plane, shape (n, n), slope first.
    """

    x_m: Array
    slope_rad: Array
    share: Array

    def area_m(self, level: float) -> float:
        """Area with at least this share, divided by pi: the emittance of an ellipse as large, geometric, m rad."""
        pixel = (self.x_m[1] - self.x_m[0]) * (self.slope_rad[1] - self.slope_rad[0])
        return float(np.count_nonzero(self.share >= level) * pixel / math.pi)


def acceptance(table: StepTable, position: Array, plane: int, grid: int, samples: int = 128) -> Acceptance:
    """Scan one plane with the tracker.

    Args:
        table: of the RFQ.
        position: the beam (x, x', y, y'), of which the other plane is taken, shape (4, n).
        plane: 0 for x, 1 for y.
        grid: points per direction.
        samples: RF phases, each with another particle's position in the other plane.
    """
    coarse = _scan(table, position, plane, (WIDEST[0] * table.r0_m, WIDEST[1]), (25, 16))
    rows, columns = (np.flatnonzero((coarse.share > 0.0).any(axis=a)) for a in (1, 0))
    if not rows.size:
        return coarse
    edge = _reach(coarse.x_m, columns), _reach(coarse.slope_rad, rows)
    return _scan(table, position, plane, edge, (grid, samples))


def _reach(points: Array, used: NDArray[np.intp]) -> float:
    """The outermost used point and one step more."""
    return float(np.abs(points[used]).max() + points[1] - points[0])


def _scan(
    table: StepTable, position: Array, plane: int, edge: tuple[float, float], size: tuple[int, int]
) -> Acceptance:
    grid, samples = size
    x, slope = (np.linspace(-e, e, grid) for e in edge)
    other = position[2 - 2 * plane : 4 - 2 * plane, np.arange(samples) % position.shape[1]]
    start = np.empty((4, grid, grid, samples))
    start[2 * plane], start[2 * plane + 1] = x[:, None], slope[:, None, None]
    start[2 - 2 * plane : 4 - 2 * plane] = other[:, None, None]
    phase = np.broadcast_to((np.arange(samples) + 0.5) / samples, start.shape[1:])
    out = rfq.track(table, start.reshape(4, -1), phase.ravel())
    return Acceptance(x, slope, out.transmitted.reshape(grid, grid, samples).mean(axis=2))


@dataclass(frozen=True)
class Losses:
    """Where particles are lost that enter the RFQ.

    Attributes:
        share: of the entering particles, lost in each cell, shape (n_cell,).
        energy_share: sum of the kinetic energy of those lost in each cell / m c^2, per entering particle, (n_cell,).
        unaccelerated: share that comes out with less than 0.9 of the design energy.
        transmitted: share that comes out with more.
    """

    share: Array
    energy_share: Array
    unaccelerated: float
    transmitted: float


def losses(table: StepTable, position: Array, phase: Array) -> Losses:
    """Track and count; a lost particle has the energy with which it entered the cell of its loss.

    The tracker keeps energies of the end only, so every cell with a loss is the end of a shortened RFQ once.
    """
    out = rfq.track(table, position, phase)
    n, cells = phase.size, table.n_cell
    share, energy = out.losses(cells) / n, np.zeros(cells)
    for cell in np.flatnonzero(share):
        lost = out.lost_in == cell
        if cell:
            short = replace(table, rows=table.rows[: cell * table.per_cell])
            energy[cell] = rfq.track(short, position[:, lost], phase[lost]).energy.sum() / n
        else:
            energy[cell] = lost.sum() * table.input_energy / n
    survived = np.mean(out.lost_in == cells)
    return Losses(share, energy, float(survived - out.transmission), out.transmission)
