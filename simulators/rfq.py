"""Particles through the two-term potential of an RFQ, in float32 and SIMD.

Position along the vanes is the independent variable: drift to the middle of a step, kick, drift on (leapfrog).
A particle is lost where the static part of |U| exceeds V/2, since there is metal. *Transmitted* is what comes
out alive with more than 0.9 of the design energy. Particles pass in blocks, one block through all cells after
another, in one flat local array: with separate arrays the compiler cannot rule out that they overlap and gives
up on SIMD. ``np.floor`` has a SIMD form, ``math.floor`` has none.

Not modelled: space charge, image charges, vane fields beyond two terms, the fringe in front of the vanes.
:mod:`simulators.rfq_numpy` is the twin in float64 with the functions of NumPy and SciPy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from simulators.beam import Array
from simulators.rfq_design import CellTable

F = TypeVar("F", bound=Callable[..., object])
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

STEPS_PER_CELL = 4
"""moves the transmission by less than 0.002 against 32 steps"""
BLOCK = 256
ENERGY_CUT = 0.9
"""share of the design energy that a transmitted particle has at least"""
MAX_RADIUS = 2.0
"""in units of r0: between the tips, where the potential of the two terms knows no metal"""
MIN_ENERGY = 0.05
"""share of the input energy below which a particle counts as lost"""

ROWS = 7
"""x, p_x, y, p_y, RF phase, w, alive: one block's columns"""
_DRIFT, _TURN, _QUADRUPOLE, _MONOPOLE, _GAIN, _QUARTER_K2, _VANE_QUADRUPOLE, _VANE_MONOPOLE = range(8)

_COSINE = np.polynomial.chebyshev.Chebyshev.interpolate(
    lambda z: np.cos(2.0 * np.pi * np.sqrt(z)), 4, domain=(0.0, 0.25)
)
_C = tuple(np.float32(c) for c in _COSINE.convert(kind=np.polynomial.Polynomial).coef)
"""cos(2 pi r) = sum C_i r^(2 i) for |r| <= 1/2, error below 4e-5"""
_I0 = tuple(np.float32(1.0 / math.factorial(i) ** 2) for i in range(4))
_I1 = tuple(np.float32(1.0 / (math.factorial(i) * math.factorial(i + 1))) for i in range(4))
"""I0(z) and 2 I1(z)/z as powers of z^2/4; at the vanes the left-out terms are below 2e-4 V/2, since A is small
where z is not"""
_ONE, _TWO, _ZERO, _HALF = (np.float32(x) for x in (1.0, 2.0, 0.0, 0.5))


@dataclass(frozen=True)
class StepTable:
    """The cells cut into steps.

    Attributes:
        rows: per step: drift from the middle of the step before, phase of the vanes in turns, kicks of the
            quadrupole and of the monopole term at beta = 1, energy gain / m c^2 (all at full voltage), (k/2)^2,
            quadrupole and monopole part of the relative static potential; shape (n, 8).
        last_drift_m: from the middle of the last step to the exit.
        per_cell: steps per cell.
        wavelength_m: of the RF in free space.
        input_energy, exit_energy: kinetic, in units of m c^2.
        r0_m: mean aperture.
    """

    rows: Array
    last_drift_m: float
    per_cell: int
    wavelength_m: float
    input_energy: float
    exit_energy: float
    r0_m: float

    @property
    def n_cell(self) -> int:
        """Number of cells."""
        return len(self.rows) // self.per_cell


@dataclass(frozen=True)
class Tracked:
    """What came of n particles.

    Attributes:
        transmitted: alive behind the last cell with more than 0.9 of the design energy, shape (n,).
        lost_in: index of the cell where the particle was lost, number of cells if it was not, shape (n,).
        position: (x, x', y, y') behind the last cell in m, rad; not a number for lost ones; shape (4, n).
        energy: kinetic energy / m c^2, shape (n,).
        phase: RF phase minus the vanes' phase in turns, shape (n,).
    """

    transmitted: Mask
    lost_in: NDArray[np.int32]
    position: Floats
    energy: Floats
    phase: Floats

    @property
    def transmission(self) -> float:
        """Transmitted share of the particles; not a number without particles."""
        return float(np.mean(self.transmitted)) if self.transmitted.size else math.nan

    def losses(self, n_cell: int) -> NDArray[np.int64]:
        """Particles lost in each cell, shape (n_cell,)."""
        return np.bincount(self.lost_in, minlength=n_cell + 1)[:n_cell].astype(np.int64)


def step_table(cells: CellTable, per_cell: int = STEPS_PER_CELL) -> StepTable:
    """Cut every cell into ``per_cell`` equal steps."""
    p = cells.parameters
    fraction = (np.arange(per_cell) + 0.5) / per_cell
    step = np.repeat(cells.length_m / per_cell, per_cell)
    k = np.repeat(math.pi / cells.length_m, per_cell)
    a = np.repeat(cells.acceleration, per_cell)
    half_turns = (np.arange(len(cells))[:, None] + fraction).ravel()
    angle = math.pi * half_turns
    start = np.cumsum(cells.length_m)[p.matcher_cells - 1]
    z = np.cumsum(step) - 0.5 * step
    ramp = np.where(z < start, np.sin(0.5 * math.pi * z / start) ** 2, 1.0)
    strength = step * p.voltage_v / p.mass_ev
    rows = np.empty((len(step), 8))
    rows[:, _DRIFT] = 0.5 * step
    rows[1:, _DRIFT] += 0.5 * step[:-1]
    rows[:, _TURN] = np.mod(0.5 * half_turns, 1.0)
    # sin(omega t) averaged over the step; products with cos kz or sin kz have an exact mean already
    rows[:, _QUADRUPOLE] = np.sinc(0.5 / per_cell) * strength * ramp / p.r0_m**2
    rows[:, _MONOPOLE] = 0.25 * strength * a * k**2 * np.cos(angle)
    rows[:, _GAIN] = 0.5 * strength * a * k * np.sin(angle)
    rows[:, _QUARTER_K2] = 0.25 * k**2
    rows[:, _VANE_QUADRUPOLE] = ramp / p.r0_m**2
    rows[:, _VANE_MONOPOLE] = a * np.cos(angle)
    return StepTable(
        rows, 0.5 * float(step[-1]), per_cell, p.wavelength_m,
        p.input_energy_ev / p.mass_ev, cells.exit_energy_ev / p.mass_ev, p.r0_m,
    )  # fmt: skip


def track(table: StepTable, position: Floats | Array, phase: Floats | Array, voltage: float = 1.0) -> Tracked:
    """Take particles of the input energy through the RFQ.

    Args:
        table: from :func:`step_table`.
        position: (x, x', y, y') at the entrance in m, rad, shape (4, n).
        phase: of the RF when the particle enters, turns, shape (n,); uniform in 0 to 1 for a DC beam.
        voltage: vane voltage relative to the design.
    """
    n = position.shape[1]
    out = np.empty((ROWS, n), dtype=np.float32)
    out[:4] = position
    out[4] = phase
    track_rows(table.rows.astype(np.float32), table.per_cell, constants(table), np.float32(voltage), out)
    survived = out[6] >= table.n_cell
    position_out = np.where(survived, out[:4], np.float32(np.nan))
    transmitted = survived & (out[5] > ENERGY_CUT * table.exit_energy)
    return Tracked(transmitted, out[6].astype(np.int32), position_out, out[5], out[4])


def constants(table: StepTable) -> Floats:
    """What the kernel needs beside the steps: last drift, 1 / wavelength, input and least energy, largest r^2, cut."""
    return np.array(
        [
            table.last_drift_m,
            1.0 / table.wavelength_m,
            table.input_energy,
            MIN_ENERGY * table.input_energy,
            (MAX_RADIUS * table.r0_m) ** 2,
            ENERGY_CUT * table.exit_energy,
        ],
        dtype=np.float32,
    )


def _simd(function: F) -> F:
    """Compile with sums in any order, fused products and approximate roots: SIMD, and no float64 inside."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp", "afn"}}
    return cast("F", numba.njit(cache=True, **options)(function))


def _inlined(function: F) -> F:
    return cast("F", numba.njit(nogil=True, inline="always")(function))


@_inlined
def _cosine(turns: np.float32) -> np.float32:
    """cos(2 pi turns)."""
    r: np.float32 = turns - np.floor(turns + _HALF)
    z = r * r
    return _C[0] + z * (_C[1] + z * (_C[2] + z * (_C[3] + z * _C[4])))


@_inlined
def _series(q: np.float32, c: tuple[np.float32, ...]) -> np.float32:
    return c[0] + q * (c[1] + q * (c[2] + q * c[3]))


@_simd
def track_rows(rows: Floats, per_cell: int, fixed: Floats, voltage: np.float32, out: Floats) -> None:
    """Replace ``out`` (x, x', y, y', phase, -, -), shape (7, n), by the same at the exit, w, cells survived.

    ``fixed`` are the :func:`constants` of the table.
    """
    last_drift, per_wavelength, input_energy, min_energy, max_square = fixed[0], fixed[1], fixed[2], fixed[3], fixed[4]
    n = out.shape[1]
    lane = np.empty(10 * BLOCK, dtype=np.float32)
    turn_per_step = np.float32(0.5 / per_cell)
    momentum = np.sqrt(input_energy * (input_energy + _TWO))
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        for j in range(BLOCK):
            i = first + min(j, count - 1)
            lane[j], lane[BLOCK + j] = out[0, i], out[1, i] * momentum
            lane[2 * BLOCK + j], lane[3 * BLOCK + j] = out[2, i], out[3, i] * momentum
            lane[4 * BLOCK + j] = out[4, i] + _HALF * turn_per_step
            lane[5 * BLOCK + j], lane[6 * BLOCK + j], lane[7 * BLOCK + j] = input_energy, _ONE, _ZERO
        for cell in range(len(rows) // per_cell):
            for s in range(cell * per_cell, (cell + 1) * per_cell):
                _step(lane, rows[s], turn_per_step, per_wavelength, voltage, min_energy)
            for j in range(BLOCK):
                square = lane[j] * lane[j] + lane[2 * BLOCK + j] * lane[2 * BLOCK + j]
                near = (square < max_square) & (lane[5 * BLOCK + j] > min_energy)
                alive = lane[6 * BLOCK + j] if near else _ZERO
                lane[6 * BLOCK + j] = alive
                lane[7 * BLOCK + j] += alive
        for j in range(count):
            i = first + j
            w = lane[5 * BLOCK + j]
            per_momentum = _ONE / np.sqrt(w * (w + _TWO))
            out[1, i], out[3, i] = lane[BLOCK + j] * per_momentum, lane[3 * BLOCK + j] * per_momentum
            out[0, i] = lane[j] + last_drift * out[1, i]
            out[2, i] = lane[2 * BLOCK + j] + last_drift * out[3, i]
            turns = last_drift * per_wavelength * (_ONE + w) * per_momentum - _HALF * turn_per_step
            out[4, i], out[5, i], out[6, i] = lane[4 * BLOCK + j] + turns, w, lane[7 * BLOCK + j]


@_inlined
def _step(
    lane: Floats, row: Floats, turn_per_step: np.float32, per_wavelength: np.float32, voltage: np.float32,
    min_energy: np.float32,
) -> None:  # fmt: skip
    """Drift to the middle of the step and kick there.

    Three short loops: in one long loop the processor waits for its longest chain, which costs a quarter more.
    """
    drift, turn, quarter_k2 = row[_DRIFT], row[_TURN] - np.float32(0.25), row[_QUARTER_K2]
    quadrupole, monopole, gain = voltage * row[_QUADRUPOLE], voltage * row[_MONOPOLE], voltage * row[_GAIN]
    vane_quadrupole, vane_monopole = row[_VANE_QUADRUPOLE], row[_VANE_MONOPOLE]
    turns = drift * per_wavelength
    for j in range(BLOCK):
        px, py, w = lane[BLOCK + j], lane[3 * BLOCK + j], lane[5 * BLOCK + j]
        per_momentum = _ONE / np.sqrt(w * (w + _TWO))
        slowness = (_ONE + w) * per_momentum
        x = lane[j] + drift * per_momentum * px
        y = lane[2 * BLOCK + j] + drift * per_momentum * py
        phase = lane[4 * BLOCK + j] + turns * slowness - turn_per_step
        lane[j], lane[2 * BLOCK + j], lane[4 * BLOCK + j] = x, y, phase
        lane[8 * BLOCK + j] = slowness
    for j in range(BLOCK):
        lane[9 * BLOCK + j] = _cosine(lane[4 * BLOCK + j] + turn)
    linear, square, cube = monopole * _I1[1], monopole * _I1[2], monopole * _I1[3]
    in_x, in_y = quadrupole + monopole, quadrupole - monopole
    for j in range(BLOCK):
        px, py, w = lane[BLOCK + j], lane[3 * BLOCK + j], lane[5 * BLOCK + j]
        x, y, slowness, rf = lane[j], lane[2 * BLOCK + j], lane[8 * BLOCK + j], lane[9 * BLOCK + j]
        xx, yy = x * x, y * y
        q = quarter_k2 * (xx + yy)
        bessel, push = _series(q, _I0), q * (linear + q * (square + q * cube))
        kick = rf * slowness
        potential = vane_quadrupole * (xx - yy) + vane_monopole * bessel
        alive = lane[6 * BLOCK + j] if abs(potential) < _ONE else _ZERO
        lane[BLOCK + j] = (px - (in_x + push) * x * kick) * alive
        lane[3 * BLOCK + j] = (py + (in_y - push) * y * kick) * alive
        lane[5 * BLOCK + j] = max(w + gain * bessel * rf, min_energy)
        lane[6 * BLOCK + j] = alive
