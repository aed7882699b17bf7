"""The RFQ as a table: which share of the particles that enter at (x, x', y, y') it transmits, over all RF phases.

Seen along the principal axes of the matched ellipse the acceptance is nearly a disc in each plane. So the table stands
on the amplitude and the angle of each plane, u + iv = (x + i (alpha x + beta x')) / sqrt(beta), where the survival is
flat inside, falls to zero within a few steps of amplitude, and hardly depends on the angles. A particle and its
mirror image fare alike, so the angles cover half a turn. Between its points, and between vane voltages, the
table is interpolated linearly.

It takes :mod:`simulators.rfq` half a minute once, and is kept as a file whose name holds the hash of what it was made
from. A look-up takes some 30 ns per particle instead of 0.8 us. It answers with shares, not with particles: more even
than the tracker, and meant for training. What is reported is tracked.
"""

import hashlib
import math
import secrets
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from simulators import rfq
from simulators.beam import Array
from simulators.rfq import StepTable, step_table
from simulators.rfq_design import RfqParameters, design, matched_beam

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Points of a table.

    Attributes:
        radius: largest amplitude, sqrt(m); beyond it nothing survives.
        n_radius: amplitudes from 0 to ``radius``.
        n_angle: angles over half a turn.
        voltage: vane voltages relative to the design, ascending.
        n_phase: RF phases tracked at each point.
        seed: of the phases.
    """

    radius: float = 0.042
    n_radius: int = 35
    n_angle: int = 12
    voltage: tuple[float, ...] = (0.97, 1.0, 1.03)
    n_phase: int = 60
    seed: int = 162_500


@dataclass(frozen=True)
class SurvivalTable:
    """Transmitted shares.

    Attributes:
        alpha, beta_m: axes of the matched ellipse at the entrance.
        radius: largest amplitude, sqrt(m).
        voltage: shape (v,), ascending and evenly spaced; outside of it the table is not continued.
        share: shape (n_radius, n_radius, n_angle, n_angle, v).
    """

    alpha: float
    beta_m: float
    radius: float
    voltage: Array
    share: Floats

    def look_up(self, position: Floats | Array, voltage: float = 1.0) -> Floats:
        """Share that survives of each place (x, x', y, y') in m, rad, shape (4, n); returns shape (n,)."""
        lane = np.ascontiguousarray(position, dtype=np.float32)
        out = np.empty(lane.shape[1], dtype=np.float32)
        axes = np.array([self.alpha, self.beta_m, self.radius], dtype=np.float32)
        first, share = at_voltage(self.voltage, voltage)
        for i in range(lane.shape[1]):
            out[i] = survival(self.share, axes, first, share, lane[0, i], lane[1, i], lane[2, i], lane[3, i])
        return out


def survival_table(
    parameters: RfqParameters | None = None, folder: Path | None = None, grid: Grid | None = None
) -> SurvivalTable:
    """The table of a design: from the folder when it lies there, made (and put there) otherwise.

    Args:
        parameters: of the RFQ, the defaults when left out.
        folder: where tables are kept; None keeps none.
        grid: points of the table.
    """
    p, g = parameters or RfqParameters(), grid or Grid()
    steps = step_table(design(p))
    path = None if folder is None else folder / f"rfq-survival-{_key(steps, p, g)}.npz"
    alpha, beta = matched_beam(p)
    if path is not None and path.is_file():
        with np.load(path) as kept:
            return SurvivalTable(alpha, beta, g.radius, np.array(g.voltage), kept["share"])
    table = SurvivalTable(alpha, beta, g.radius, np.array(g.voltage), _make(steps, alpha, beta, g))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(4)}.npz")
        np.savez_compressed(part, share=table.share)
        part.replace(path)
    return table


def _key(steps: StepTable, parameters: RfqParameters, grid: Grid) -> str:
    content = hashlib.sha256(steps.rows.astype(np.float32).tobytes())
    content.update(repr((parameters, grid, steps.per_cell, rfq.ENERGY_CUT, rfq.MAX_RADIUS)).encode())
    return content.hexdigest()[:16]


def _make(steps: StepTable, alpha: float, beta: float, g: Grid) -> Floats:
    """Track every point of the grid at many phases."""
    rng = np.random.default_rng(g.seed)
    amplitude = np.linspace(0.0, g.radius, g.n_radius)
    turn = np.exp(1j * math.pi * np.arange(g.n_angle) / g.n_angle)
    plane = amplitude[:, None] * turn
    x = plane.real * math.sqrt(beta)
    slope = (plane.imag - alpha * plane.real) / math.sqrt(beta)
    share = np.empty((g.n_radius, g.n_radius, g.n_angle, g.n_angle, len(g.voltage)), dtype=np.float32)
    rest = (g.n_radius, g.n_angle, g.n_angle, g.n_phase)
    for i in range(g.n_radius):
        position = np.stack(
            [
                np.broadcast_to(of, rest).ravel()
                for of in (x[i, :, None, None], slope[i, :, None, None], x[:, None, :, None], slope[:, None, :, None])
            ]
        )
        phase = ((np.arange(g.n_phase) + rng.random(rest)) / g.n_phase).ravel()
        for v, voltage in enumerate(g.voltage):
            passed = rfq.track(steps, position, phase, voltage).transmitted
            share[i, ..., v] = passed.reshape(rest).mean(axis=-1)
    return share


def at_voltage(voltages: Array, voltage: float) -> tuple[int, np.float32]:
    """Index of the voltage below, and how far it is to the one above (0 to 1)."""
    at = (min(max(voltage, voltages[0]), voltages[-1]) - voltages[0]) / (voltages[1] - voltages[0])
    first = min(int(at), len(voltages) - 2)
    return first, np.float32(at - first)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)  # type: ignore[untyped-decorator]
def survival(
    share: Floats,
    axes: Floats,
    first: int,
    above: np.float32,
    x: np.float32,
    xp: np.float32,
    y: np.float32,
    yp: np.float32,
) -> np.float32:
    """Interpolated share of one place; ``axes`` is alpha, beta, radius; see :func:`at_voltage`."""
    alpha, beta, radius = axes[0], axes[1], axes[2]
    per_root = np.float32(1.0) / np.sqrt(beta)
    n_radius, n_angle = share.shape[0], share.shape[2]
    ux, vx = x * per_root, (alpha * x + beta * xp) * per_root
    uy, vy = y * per_root, (alpha * y + beta * yp) * per_root
    to_radius = np.float32(n_radius - 1) / radius
    ax, ay = np.sqrt(ux * ux + vx * vx) * to_radius, np.sqrt(uy * uy + vy * vy) * to_radius
    ix, iy = int(ax), int(ay)
    if ix >= n_radius - 1 or iy >= n_radius - 1:
        return np.float32(0.0)
    to_angle = np.float32(n_angle / math.pi)
    bx, by = np.arctan2(vx, ux) * to_angle + np.float32(n_angle), np.arctan2(vy, uy) * to_angle + np.float32(n_angle)
    jx, jy = int(bx), int(by)
    ax, ay, bx, by = ax - np.float32(ix), ay - np.float32(iy), bx - np.float32(jx), by - np.float32(jy)
    total = np.float32(0.0)
    for i in range(2):
        wi = ax if i else np.float32(1.0) - ax
        for k in range(2):
            wk = wi * (ay if k else np.float32(1.0) - ay)
            for j in range(2):
                wj = wk * (bx if j else np.float32(1.0) - bx)
                jj = (jx + j) % n_angle
                for m in range(2):
                    w = wj * (by if m else np.float32(1.0) - by)
                    mm = (jy + m) % n_angle
                    low, high = share[ix + i, iy + k, jj, mm, first], share[ix + i, iy + k, jj, mm, first + 1]
                    total += w * (low + above * (high - low))
    return total
