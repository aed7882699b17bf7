"""Many simulated machines at once, in engineering units: the door through which training and evaluation look.

A batch has ``n`` rows; each row is one machine of a *pool* of module settings (one section, or random virtual modules)
with errors of its own. Rows can be replaced one by one, which is how episodes end and begin.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.lattice import MM
from simulators import kernels
from simulators.beam import Array, ComplexArray
from simulators.diagnostics import median_noise_factor
from simulators.errors_model import Errors, ErrorSpec, apply_errors, draw, rewired
from simulators.lattice import Lattice, Optics
from simulators.linac import perfect

Mask = NDArray[np.bool_]
Index = NDArray[np.int64]

ALL = slice(None)
STOCK = 1024
"""machines drawn and built together, because one call for many is 100 times cheaper"""


@dataclass(frozen=True)
class ModulePool:
    """Module settings that machines are drawn from.

    Attributes:
        lattice: geometry, with ``k`` correctors and ``b`` BPMs.
        optics: ``m`` settings.
        has_corrector: correctors that exist in each module, shape (m, k).
        has_channel: BPM channels that exist in each module, shape (m, 2 b).
        response_mm_per_a: nominal response, zero where nothing exists, shape (m, 2 b, k).
    """

    lattice: Lattice
    optics: Optics
    has_corrector: Mask
    has_channel: Mask
    response_mm_per_a: Array


def make_pool(
    lattice: Lattice, optics: Optics, has_corrector: Mask | None = None, has_channel: Mask | None = None
) -> ModulePool:
    """A pool with its nominal response matrices; everything exists unless told otherwise."""
    m = len(optics)
    correctors = np.ones((m, lattice.n_corrector), bool) if has_corrector is None else has_corrector
    channels = np.ones((m, 2 * lattice.n_bpm), bool) if has_channel is None else has_channel
    response = kernels.build(lattice, perfect(lattice, optics)).response_m_per_a * MM
    response = response * correctors[:, None, :] * channels[:, :, None]
    return ModulePool(lattice, optics, correctors, channels, response)


@dataclass
class _Rows:
    """Everything about the machines of a batch, first axis the row."""

    module: Index
    exists: Mask
    working: Mask
    start_a: Array
    bare_mm: Array
    response_mm_per_a: Array
    offset_mm: Array
    noise_mm: Array
    channel_sign: Array
    magnet: Index
    corrector: ComplexArray


class MachineBatch:
    """``n`` machines that can be read, moved and replaced.

    Args:
        pool: module settings to draw from.
        spec: error sizes.
        rng: the only source of randomness.
        n: rows.
        n_readings: shots combined (median) into one reading.
    """

    def __init__(self, pool: ModulePool, spec: ErrorSpec, rng: np.random.Generator, n: int, n_readings: int) -> None:
        self.pool = pool
        self._spec = spec
        self._rng = rng
        self._noise_factor = median_noise_factor(n_readings)
        self._stock_size = max(n, STOCK)
        self._stock = self._draw(self._stock_size)
        self._next = n
        self._rows = _Rows(**{f.name: getattr(self._stock, f.name)[:n].copy() for f in fields(_Rows)})

    def __len__(self) -> int:
        return len(self._rows.module)

    @property
    def module(self) -> Index:
        """Which module of the pool each row is, shape (n,)."""
        return self._rows.module

    @property
    def exists(self) -> Mask:
        """Channels that exist, dead or not, shape (n, 2 b)."""
        return self._rows.exists

    @property
    def working(self) -> Mask:
        """Channels that exist and are not dead, shape (n, 2 b)."""
        return self._rows.working

    @property
    def start_a(self) -> Array:
        """Setpoints found at the start, A, shape (n, k)."""
        return self._rows.start_a

    @property
    def bare_mm(self) -> Array:
        """True orbit with all correctors at zero, mm, shape (n, 2 b)."""
        return self._rows.bare_mm

    @property
    def response_mm_per_a(self) -> Array:
        """True response, mm/A, shape (n, 2 b, k)."""
        return self._rows.response_mm_per_a

    @property
    def channel_sign(self) -> Array:
        """-1 where a channel reads with the wrong sign, shape (n, 2 b)."""
        return self._rows.channel_sign

    @property
    def magnet(self) -> Index:
        """Which magnet each supply drives, shape (n, k)."""
        return self._rows.magnet

    @property
    def corrector_factor(self) -> ComplexArray:
        """Strength of each magnet relative to the description, see :class:`simulators.errors_model.Errors`."""
        return self._rows.corrector

    def replace(self, rows: Index) -> None:
        """Put fresh machines into the given rows."""
        if self._next + len(rows) > self._stock_size:
            self._stock, self._next = self._draw(self._stock_size), 0
        taken = slice(self._next, self._next + len(rows))
        self._next += len(rows)
        for f in fields(_Rows):
            getattr(self._rows, f.name)[rows] = getattr(self._stock, f.name)[taken]

    def place(self, rows: Index, module: Index, errors: Errors) -> None:
        """Put machines with the given errors into the given rows, instead of drawn ones.

        Args:
            rows: which rows.
            module: of the pool, one per row.
            errors: one machine per row.
        """
        machines = self._build(module, errors)
        for f in fields(_Rows):
            getattr(self._rows, f.name)[rows] = getattr(machines, f.name)

    def true_orbit_mm(self, setpoint_a: Array, rows: Index | slice = ALL) -> Array:
        """Centroid at all BPM places, mm, shape (rows, 2 b)."""
        return np.asarray(self.bare_mm[rows] + np.matvec(self.response_mm_per_a[rows], setpoint_a))

    def read_mm(self, setpoint_a: Array, rows: Index | slice = ALL) -> Array:
        """Combined reading of a step (median of several shots), mm, 0 where there is none.

        Args:
            setpoint_a: A, shape (rows, k).
            rows: which machines.

        Returns:
            Shape (rows, 2 b).
        """
        orbit = self._rows.channel_sign[rows] * self.true_orbit_mm(setpoint_a, rows) + self._rows.offset_mm[rows]
        noise = self._rng.standard_normal(orbit.shape) * self._rows.noise_mm[rows]
        return np.where(self.working[rows], orbit + noise, 0.0)

    def _draw(self, n: int) -> _Rows:
        pool = self.pool
        module = self._rng.integers(len(pool.optics), size=n)
        return self._build(module, draw(pool.lattice, pool.optics.n_cell, self._spec, self._rng, n))

    def _build(self, module: Index, errors: Errors) -> _Rows:
        pool = self.pool
        machines = apply_errors(pool.lattice, pool.optics.take(module), errors)
        orbits = rewired(kernels.build(pool.lattice, machines), errors)
        has_corrector, exists = pool.has_corrector[module], pool.has_channel[module]
        return _Rows(
            module=module,
            exists=exists,
            working=exists & ~errors.dead_channel,
            start_a=errors.initial_a * has_corrector,
            bare_mm=orbits.bare_m * MM,
            response_mm_per_a=orbits.response_m_per_a * MM * has_corrector[:, None, :],
            offset_mm=errors.bpm_offset_m * MM,
            noise_mm=errors.bpm_noise_m[:, None] * MM * self._noise_factor,
            channel_sign=errors.channel_sign,
            magnet=errors.magnet,
            corrector=errors.corrector,
        )


def without_noise(spec: ErrorSpec) -> ErrorSpec:
    """The same machines with perfect instruments."""
    return replace(spec, bpm_noise_m=(0.0, 0.0), bpm_offset_m=0.0)
