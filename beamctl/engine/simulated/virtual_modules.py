"""Random cryomodules that do not exist: what the agent is trained on, so that it serves those that do.

Ranges: 1.2 to 3.0 MeV/u, random solenoid polarity, strength 0.75 to 0.95 units x (W / 1.356 MeV/u)^0.3, synchronous
phases -45 to -20 deg, resonators ke 1.4 to 2.0; in every third module one cell has neither correctors nor BPM,
as in CM2.
"""

import numpy as np

from beamctl.engine.simulated.batch import ModulePool, make_pool
from beamctl.engine.simulated.lattice import section_lattice, simulator_ion
from beamctl.machine.description import IonDescription, MachineDescription
from simulators.lattice import Optics

ENERGY_MEV_U = (1.2, 3.0)
STRENGTH_UNITS = (0.75, 0.95)
REFERENCE_MEV_U = 1.356
PHASE_DEG = (-45.0, -20.0)
KE = (1.4, 2.0)
INCOMPLETE_SHARE = 1.0 / 3.0


def full_section(machine: MachineDescription) -> str:
    """Name of the first section in which every cell has its pair of correctors and a BPM."""
    return next(
        name
        for name, section in machine.sections.items()
        if all(len(cell.correctors) == 2 and cell.bpm is not None for cell in section.cells)
    )


def virtual_modules(
    machine: MachineDescription, design: IonDescription, rng: np.random.Generator, n: int
) -> ModulePool:
    """A pool of ``n`` virtual modules for a machine's hardware."""
    lattice = section_lattice(machine, full_section(machine))
    ion = simulator_ion(design)
    c = len(machine.sections[full_section(machine)].cells)
    energy = rng.uniform(*ENERGY_MEV_U, n)
    strength = rng.uniform(*STRENGTH_UNITS, (n, c)) * (energy[:, None] / REFERENCE_MEV_U) ** 0.3
    polarity = rng.choice([-1.0, 1.0], (n, c))
    optics = Optics(
        mass_ev=np.full(n, ion.mass_ev),
        charge=np.full(n, ion.charge),
        energy_ev=1e6 * energy,
        solenoid_t=polarity * strength * machine.types.solenoid.field.si(),
        cavity_v=rng.uniform(*KE, (n, c)) * machine.types.cavity.voltage.si(),
        cavity_phase_rad=np.radians(rng.uniform(*PHASE_DEG, (n, c))),
    )
    missing = np.where(rng.random(n) < INCOMPLETE_SHARE, rng.integers(c, size=n), -1)
    present = np.arange(c)[None, :] != missing[:, None]
    return make_pool(lattice, optics, present[:, lattice.corrector_cell], np.repeat(present[:, lattice.bpm_cell], 2, 1))
