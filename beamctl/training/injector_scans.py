"""What the pictures of an injector show, as numbers: the error-free model of its description, scanned.

Setpoints are A, the rest is SI. Sampling: a transmission from n particles is known to about 0.3 / sqrt(n) or better.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from beamctl.engine.simulated.injector import design_setting, lebt_geometry, rfq_table, settings
from beamctl.machine.injector import InjectorDescription
from simulators import lebt, rfq
from simulators.lebt import Optics, Source
from simulators.lpi import LpiMachine, Settings, nominal, run
from simulators.rfq import StepTable

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
SEED = 61
"""of the particles"""
FAMILY = 0.85
"""MFC1 / source current above which neighbouring settings belong to one matched family"""
SMALLEST_FAMILY = 0.002
"""share of the plane: fewer settings are a spot on the ridge between families"""


def model(description: InjectorDescription, n: int) -> LpiMachine:
    """The injector without errors, with ``n`` particles: the values of the description, whatever their ranges."""
    s = description.source
    source = Source(s.emittance.si(), s.alpha.si(), s.beta.si(), current_a=s.current.si())
    bare = nominal(rfq_table(description), np.random.default_rng(SEED), lebt_geometry(description), n)
    return replace(bare, source=source, neutralisation=s.neutralisation.si(), h2_share=s.h2_share.si())


@dataclass(frozen=True)
class Family:
    """A matched family: the best setting of both solenoids, A, and MFC1 / source current and T there."""

    solenoid_a: tuple[float, float]
    eta: float
    transmission: float


@dataclass(frozen=True)
class Landscape:
    """Both solenoids scanned, correctors at 0.

    Attributes:
        solenoid1_a, solenoid2_a: setpoints, A, shapes (n1,), (n2,).
        eta: MFC1 / source current, shape (n1, n2).
        acct_a: current in front of the RFQ, with H2+, A, shape (n1, n2).
        transmission: MFC1 / ACCT, not a number without beam, shape (n1, n2).
    """

    solenoid1_a: Array
    solenoid2_a: Array
    eta: Array
    acct_a: Array
    transmission: Array

    def families(self) -> list[Family]:
        """Matched families, the one with the largest current first."""
        regions, count = label(self.eta > FAMILY, np.ones((3, 3)))  # the ridges are narrow: diagonals count
        found = []
        for region in range(1, count + 1):
            inside = regions == region
            if inside.mean() >= SMALLEST_FAMILY:
                i, j = np.unravel_index(np.where(inside, self.eta, -1.0).argmax(), self.eta.shape)
                where = float(self.solenoid1_a[i]), float(self.solenoid2_a[j])
                found.append(Family(where, float(self.eta[i, j]), float(self.transmission[i, j])))
        return sorted(found, key=lambda family: -family.eta)


def landscape(
    description: InjectorDescription, machine: LpiMachine, grid: int, progress: Progress = lambda *_: None
) -> Landscape:
    """Scan ``grid`` x ``grid`` settings of the solenoids over their limits; ``progress`` is told of each row."""
    limits = [stage.solenoid.limits for stage in description.lebt.stages]
    first, second = (np.linspace(x.lo, x.hi, grid) for x in limits)
    seen = np.empty((3, grid, grid))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            seen[:, i, j] = run(machine, _settings(description, (a, b)))
        progress(i + 1, grid)
    acct_a, mfc1_a, transmission = seen
    return Landscape(first, second, mfc1_a / machine.source.current_a, acct_a, transmission)


def design_solenoids(description: InjectorDescription) -> tuple[float, float]:
    """Design setting of both solenoids, A."""
    first, second = design_setting(description)[:2]
    return float(first), float(second)


def entrance(
    description: InjectorDescription, machine: LpiMachine, solenoid_a: tuple[float, float]
) -> tuple[Array, Array]:
    """Protons behind the cone: (x, x', y, y') in m, rad, shape (4, k), and their RF phases in turns, shape (k,)."""
    first, second = _settings(description, solenoid_a)[:2]
    start = lebt.source_particles(machine.source, machine.normal, machine.geometry.energy_ev)
    unneutralised_a = (1.0 - machine.neutralisation) * machine.source.current_a
    arrived = lebt.transport(machine.geometry, Optics((first, second)), start, unneutralised_a)
    return arrived.position[:, arrived.alive].astype(np.float64), machine.phase[arrived.alive]


def voltage_scan(table: StepTable, position: Array, phase: Array, voltage: Array) -> Array:
    """Transmission of the RFQ at vane voltages relative to the design; shape of ``voltage``."""
    return np.array([rfq.track(table, position, phase, float(v)).transmission for v in voltage])


def _settings(description: InjectorDescription, solenoid_a: tuple[float, float]) -> Settings:
    """As the simulator wants them; correctors at 0."""
    return Settings(*settings(description, np.array([*solenoid_a, 0.0, 0.0, 0.0, 0.0])).tolist())
