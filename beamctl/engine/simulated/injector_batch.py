"""Many simulated injectors at once, in engineering units: what transmission agents are trained and judged on.

A batch has ``n`` rows; each row is one machine drawn from one of several *populations*, with the setting it is found
at. Rows can be replaced one by one, which is how episodes end and begin.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.injector import (
    Array,
    design_setting,
    knob_limits,
    knob_scale,
    lebt_geometry,
    rfq_table,
)
from beamctl.engine.simulated.injector_scenarios import InjectorScenario
from beamctl.machine.injector import InjectorDescription
from simulators.lpi import N_PARTICLES, drifted_zero, read_current
from simulators.lpi_batch import InjectorModel, Injectors, draw_injectors
from simulators.lpi_starts import find_starts
from simulators.survival import SurvivalTable

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

ALL = slice(None)
MA = 1e3
"""mA per A"""
STOCK = 512
"""machines drawn together with their starts, because few at a time cost more each"""
TRAINING_PARTICLES = 256
STEP_TIME_S = 4.0
"""time between two readings, for the drift of the monitors"""
FIXED_ORBIT_SHARE = 0.1
"""correctors of a machine with a corrected orbit stand within so much of their range around the design"""


@dataclass(frozen=True)
class Population:
    """Machines of one kind.

    Attributes:
        scenario: errors, monitors and where the machines are found.
        share: of the batch, relative to the others.
        fixed_orbit: only the solenoids are free; the correctors stand near their design.
    """

    scenario: InjectorScenario
    share: float = 1.0
    fixed_orbit: bool = False


@dataclass
class _Rows:
    """Everything about the machines of a batch, first axis the row; see :class:`InjectorBatch`."""

    machines: Injectors
    population: Index
    start_a: Array
    zero_a: Array
    gain: Array

    def __len__(self) -> int:
        return len(self.population)

    def take(self, rows: Index | slice) -> "_Rows":
        taken = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "machines"}
        return _Rows(self.machines.take(rows), **taken)

    def put(self, rows: Index, others: "_Rows") -> None:
        self.machines.put(rows, others.machines)
        for f in fields(self):
            if f.name != "machines":
                getattr(self, f.name)[rows] = getattr(others, f.name)


class InjectorBatch:
    """``n`` injectors that can be read, moved and replaced.

    Args:
        machine: the description.
        populations: what machines are drawn from.
        rng: the only source of randomness.
        n: rows.
        survival: stands for the RFQ tracker, in training; None: the tracker.
        particles: per machine; the usual number for either when left out.
        stock: machines drawn together in training.
    """

    def __init__(
        self,
        machine: InjectorDescription,
        populations: Sequence[Population],
        rng: np.random.Generator,
        n: int,
        survival: SurvivalTable | None = None,
        particles: int | None = None,
        stock: int = STOCK,
    ) -> None:
        self._populations = populations
        self._rng = rng
        self._model = InjectorModel(lebt_geometry(machine), rfq_table(machine), survival)
        self._particles = particles or (N_PARTICLES if survival is None else TRAINING_PARTICLES)
        self._scale = knob_scale(machine)
        self._lo, self._hi = knob_limits(machine)
        self._design = design_setting(machine)
        self._readback_noise_a = machine.lebt.supply.readback_noise.si()
        self._readings = machine.monitors.readings_per_step
        self._stock_size = n if survival is None else max(n, stock)
        self._stock = self._draw(self._stock_size)
        self._next = n
        self._rows = self._stock.take(np.arange(n))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def start_a(self) -> Array:
        """Setpoints that the machines are found at, A, shape (n, 6)."""
        return self._rows.start_a

    @property
    def fixed_orbit(self) -> Mask:
        """Machines of which only the solenoids are free, shape (n,)."""
        return np.array([p.fixed_orbit for p in self._populations])[self._rows.population]

    @property
    def source_ma(self) -> Array:
        """True proton current of each source, mA, shape (n,)."""
        return np.asarray(MA * self._rows.machines.current_a)

    def replace(self, rows: Index) -> None:
        """Put fresh machines into the given rows."""
        if self._next + len(rows) > self._stock_size:
            self._stock, self._next = self._draw(self._stock_size), 0
        taken = np.arange(self._next, self._next + len(rows))
        self._next += len(rows)
        self._rows.put(rows, self._stock.take(taken))

    def restart(self, rng: np.random.Generator) -> None:
        """Noise from another generator from now on, zeros of the monitors as drawn with it: the same run again."""
        self._rng = rng
        drift = np.array([p.scenario.monitor.drift_a for p in self._populations])[self._rows.population]
        self._rows.zero_a = drift[:, None] * rng.standard_normal(self._rows.zero_a.shape)

    def true_ma(self, setpoint_a: Array, rows: Index | slice = ALL) -> Array:
        """True ACCT and MFC1 current, mA, shape (rows, 2); setpoints in A, shape (rows, 6)."""
        machines = self._rows.machines if isinstance(rows, slice) else self._rows.machines.take(rows)
        return np.asarray(MA * self._model.currents_a(machines, setpoint_a * self._scale))

    def read_ma(self, setpoint_a: Array, rows: Index | slice = ALL) -> Array:
        """Combined reading of a step (median of several), mA; arguments and shape as :meth:`true_ma`."""
        return self.read_with_truth_ma(setpoint_a, rows)[0]

    def read_with_truth_ma(self, setpoint_a: Array, rows: Index | slice = ALL) -> tuple[Array, Array]:
        """Combined reading and true currents, mA, shapes (rows, 2)."""
        true = self.true_ma(setpoint_a, rows)
        r = self._rows
        shown, zero = true / MA * r.gain[rows], r.zero_a[rows]
        reading, later = np.empty_like(true), np.empty_like(true)
        population = r.population[rows]
        for number, kind in enumerate(self._populations):
            of = population == number
            monitor = kind.scenario.monitor
            later[of] = drifted_zero(zero[of], STEP_TIME_S, monitor, self._rng)
            each = (self._readings, *later[of].shape)
            shots = read_current(np.broadcast_to(shown[of], each), later[of], monitor, self._rng)
            reading[of] = np.median(shots, axis=0)
        r.zero_a[rows] = later
        return MA * reading, true

    def readback_a(self, setpoint_a: Array) -> Array:
        """Measured supply currents, A, same shape as the setpoints."""
        return np.asarray(setpoint_a + self._readback_noise_a * self._rng.standard_normal(setpoint_a.shape))

    def _draw(self, n: int) -> _Rows:
        shares = np.array([p.share for p in self._populations])
        population = self._rng.choice(len(shares), size=n, p=shares / shares.sum())
        rows = _Rows(
            machines=draw_injectors(
                self._model.table, self._populations[0].scenario.spec, self._rng, n, self._particles,
                self._model.geometry,
            ),
            population=population,
            start_a=np.empty((n, len(self._lo))),
            zero_a=np.empty((n, 2)),
            gain=np.empty((n, 2)),
        )  # fmt: skip
        for number, kind in enumerate(self._populations):
            own = np.flatnonzero(population == number)
            if not own.size:
                continue
            if kind.scenario.spec != self._populations[0].scenario.spec:
                fresh = draw_injectors(
                    self._model.table, kind.scenario.spec, self._rng, own.size, self._particles, self._model.geometry
                )
                rows.machines.put(own, fresh)
            rows.start_a[own] = self._starts(rows.machines.take(own), kind)
            rows.zero_a[own] = kind.scenario.monitor.drift_a * self._rng.standard_normal((own.size, 2))
            rows.gain[own] = 1.0 + kind.scenario.monitor_calibration * self._rng.uniform(-1.0, 1.0, (own.size, 2))
        return rows

    def _starts(self, machines: Injectors, kind: Population) -> Array:
        lo, hi = self._lo.copy(), self._hi.copy()
        if kind.fixed_orbit:
            half = 0.5 * FIXED_ORBIT_SHARE * (hi - lo)
            lo[2:], hi[2:] = (self._design - half)[2:], (self._design + half)[2:]

        def currents(rows: Index, setpoint_a: Array) -> Array:
            taken = machines.take(rows)
            return self._model.currents_a(taken, setpoint_a * self._scale) / taken.current_a[:, None]

        return find_starts(currents, len(machines), lo, hi, kind.scenario.start_transmission, self._rng)
