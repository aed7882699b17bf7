"""Many injectors at once: row i gives the currents that :func:`simulators.lpi.run` gives for machine i alone.

Behind the LEBT either the tracker takes over (what is reported), or a :class:`~simulators.survival.SurvivalTable` (for
training, with fewer particles).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numba
import numpy as np
from numpy.typing import NDArray

from simulators import lebt, rfq
from simulators.beam import Array, beta_gamma
from simulators.lebt import LebtGeometry
from simulators.lpi import H2_PARTICLES, LpiMachine, LpiSpec, draw
from simulators.rfq import StepTable
from simulators.rfq_design import PROTON_EV
from simulators.survival import Floats, SurvivalTable, at_voltage, survival

Index = NDArray[np.int64]
BLOCK = lebt.BLOCK
N_KNOB = 6


@dataclass
class Injectors:
    """Machines as arrays, first axis the machine; see :class:`~simulators.lpi.LpiMachine`.

    Attributes:
        size, slope: sqrt(emittance beta) in m and sqrt(emittance / beta), geometric, shape (n,).
        alpha: shape (n,).
        offset, angle: of the beam at the source, x + i y in m and rad, shape (n,).
        current_a, neutralisation, h2_share, vane_voltage: shape (n,).
        displacement_m: of the solenoids, dx + i dy, shape (n, 2).
        scale: field or kick per setting of all knobs, shape (n, 6).
        normal: standard normal numbers, shape (n, 4, p).
        phase: shape (n, p).
    """

    size: Array
    slope: Array
    alpha: Array
    offset: NDArray[np.complex128]
    angle: NDArray[np.complex128]
    current_a: Array
    neutralisation: Array
    h2_share: Array
    vane_voltage: Array
    displacement_m: NDArray[np.complex128]
    scale: Array
    normal: Array
    phase: Array

    def __len__(self) -> int:
        return len(self.current_a)

    def take(self, rows: Index | slice) -> "Injectors":
        """The given machines."""
        return Injectors(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def put(self, rows: Index, others: "Injectors") -> None:
        """Replace machines, in place."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(others, f.name)


def stack(machines: Sequence[LpiMachine]) -> Injectors:
    """Machines of one geometry and one number of particles as arrays."""
    per_emittance = 1.0 / float(beta_gamma(machines[0].geometry.energy_ev, PROTON_EV))
    source = [m.source for m in machines]
    emittance, beta = per_emittance * np.array([s.emittance_m for s in source]), np.array([s.beta_m for s in source])
    return Injectors(
        size=np.sqrt(emittance * beta),
        slope=np.sqrt(emittance / beta),
        alpha=np.array([s.alpha for s in source]),
        offset=np.array([s.offset[0] for s in source]),
        angle=np.array([s.offset[1] for s in source]),
        current_a=np.array([s.current_a for s in source]),
        neutralisation=np.array([m.neutralisation for m in machines]),
        h2_share=np.array([m.h2_share for m in machines]),
        vane_voltage=np.array([m.vane_voltage for m in machines]),
        displacement_m=np.array([m.displacement_m for m in machines]),
        scale=np.array([np.concatenate([m.solenoid_scale, m.corrector_scale]) for m in machines]),
        normal=np.array([m.normal for m in machines]),
        phase=np.array([m.phase for m in machines]),
    )


def draw_injectors(
    table: StepTable,
    spec: LpiSpec,
    rng: np.random.Generator,
    n: int,
    particles: int,
    geometry: LebtGeometry | None = None,
) -> Injectors:
    """``n`` random machines, each as :func:`simulators.lpi.draw` draws it."""
    return stack([draw(table, spec, rng, geometry, particles) for _ in range(n)])


@dataclass(frozen=True)
class InjectorModel:
    """What all machines of a batch share.

    Attributes:
        geometry: of the LEBT.
        table: cells of the RFQ.
        survival: what stands for the tracker; None: the tracker.
    """

    geometry: LebtGeometry
    table: StepTable
    survival: SurvivalTable | None = None

    def currents_a(self, machines: Injectors, knobs: Array) -> Array:
        """True ACCT and MFC1 current of each machine, A, shape (n, 2).

        Args:
            machines: n of them.
            knobs: one setting each in the order of :class:`~simulators.lpi.Settings`, T and rad, shape (n, 6).
        """
        m, g = machines, self.geometry
        true = m.scale * knobs
        kick = true[:, 2::2] + 1j * true[:, 3::2]
        protons = lebt.elements(g, true[:, :2], kick, m.displacement_m, 1.0)
        h2 = lebt.elements(g, true[:, :2], kick, m.displacement_m, lebt.H2_MAGNETIC)
        perveance = lebt.perveance(1.0, g.energy_ev) * (1.0 - m.neutralisation) * m.current_a
        source = np.stack([m.size, m.slope, m.alpha, m.offset.real, m.angle.real, m.offset.imag, m.angle.imag], axis=-1)
        out = np.empty((len(m), 2))
        s = self.survival
        first, above = zip(*(at_voltage(_ALL if s is None else s.voltage, v) for v in m.vane_voltage), strict=True)
        _currents(
            source, m.normal, m.phase, protons, h2, perveance, m.h2_share, lebt.n_slice(protons),
            s is not None,
            _NO_SHARE if s is None else s.share,
            _NO_AXES if s is None else np.array([s.alpha, s.beta_m, s.radius], dtype=np.float32),
            np.array(first), np.array(above),
            self.table.rows.astype(np.float32), self.table.per_cell, rfq.constants(self.table), m.vane_voltage, out,
        )  # fmt: skip
        return np.asarray(out * m.current_a[:, None])


_ALL = np.array([0.0, 2.0])
_NO_SHARE = np.zeros((2, 2, 1, 1, 2), dtype=np.float32)
_NO_AXES = np.ones(3, dtype=np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _currents(
    source: Array, normal: Array, phase: Array, protons: Array, h2: Array, perveance: Array, h2_share: Array,
    n_slice: int, tabulated: bool, share: Floats, axes: Floats, first: Index, above: Floats,
    steps: Floats, per_cell: int, fixed: Floats, voltage: Array, out: Array,
) -> None:  # fmt: skip
    """Fill ``out`` with ACCT and MFC1 relative to the proton current."""
    n, p = phase.shape
    blocks = -(-p // BLOCK)
    lanes = np.zeros((blocks, 5 * BLOCK), dtype=np.float32)
    few = min(p, H2_PARTICLES)
    h2_lanes = np.zeros((-(-few // BLOCK), 5 * BLOCK), dtype=np.float32)
    field = np.empty((n_slice, 4), dtype=np.float32)
    tracked = np.empty((rfq.ROWS, p), dtype=np.float32)
    for i in range(n):
        _start(lanes, source[i], normal[i], p)
        _start(h2_lanes, source[i], normal[i], few)
        lebt.move(lanes, protons[i], perveance[i], p, field, False)
        count, passed = 0, 0.0
        for j in range(p):
            lane, k = lanes[j // BLOCK], j % BLOCK
            if lane[4 * BLOCK + k] == 0.0:
                continue
            if tabulated:
                passed += survival(
                    share, axes, first[i], above[i], lane[k], lane[BLOCK + k], lane[2 * BLOCK + k], lane[3 * BLOCK + k]
                )
            else:
                for q in range(4):
                    tracked[q, count] = lane[q * BLOCK + k]
                tracked[4, count] = phase[i, j]
            count += 1
        if not tabulated and count:
            rows = tracked[:, :count].copy()
            rfq.track_rows(steps, per_cell, fixed, np.float32(voltage[i]), rows)
            for j in range(count):
                if rows[6, j] >= len(steps) // per_cell and rows[5, j] > fixed[5]:
                    passed += 1.0
        out[i, 0], out[i, 1] = count / p, passed / p
        if h2_share[i] > 0.0:
            lebt.move(h2_lanes, h2[i], 0.0, few, field, True)
            alive = 0.0
            for j in range(few):
                alive += h2_lanes[j // BLOCK, 4 * BLOCK + j % BLOCK]
            out[i, 0] += h2_share[i] * alive / few


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _start(lanes: Floats, source: Array, normal: Array, n: int) -> None:
    """The first ``n`` particles behind the source, as :func:`simulators.lebt.source_particles` places them."""
    size, slope, alpha = source[0], source[1], source[2]
    x0, xp0, y0, yp0 = source[3], source[4], source[5], source[6]
    lanes[:, :] = 0.0
    for j in range(n):
        lane, k = lanes[j // BLOCK], j % BLOCK
        lane[k], lane[BLOCK + k] = size * normal[0, j] + x0, slope * (normal[1, j] - alpha * normal[0, j]) + xp0
        lane[2 * BLOCK + k] = size * normal[2, j] + y0
        lane[3 * BLOCK + k] = slope * (normal[3, j] - alpha * normal[2, j]) + yp0
        lane[4 * BLOCK + k] = 1.0
