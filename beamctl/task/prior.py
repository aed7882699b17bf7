"""What is believed of a section before it has been measured, from its description."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.ensemble import draw_ensemble
from beamctl.engine.simulated.lattice import section_lattice, section_optics
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.machine.description import IonDescription, MachineDescription
from beamctl.machine.loader import find_task
from beamctl.task.belief import Belief, belief_of

PRIOR_SCENARIO = "err10"
"""twice the expected model errors: a machine that is further off than described is no fault of its wiring"""
PRIOR_MACHINES = 4000
PRIOR_SEED = 20_171_109


@dataclass(frozen=True)
class SectionPrior:
    """Prior of a task's section.

    Attributes:
        belief: orbit and response.
        pair: for each corrector the one of the other plane in the same cell, -1 where there is none, shape (k,).
        noise_mm: smallest believable rms noise of a combined reading, mm.
        kick_a: size of the preflight kicks, A.
    """

    belief: Belief
    pair: NDArray[np.int64]
    noise_mm: float
    kick_a: float


def section_prior(
    machine: MachineDescription,
    design: IonDescription,
    ion: IonDescription,
    task_name: str,
    scenario: str = PRIOR_SCENARIO,
) -> SectionPrior:
    """The belief that the machine is one of those that its description allows.

    Args:
        machine: the description.
        design: the ion that the description is written for.
        ion: the ion that runs.
        task_name: one of ``machine.tasks``.
        scenario: error sizes, without faults.

    Raises:
        UnknownNameError: no such task or scenario.
    """
    task = find_task(machine, task_name)
    lattice = section_lattice(machine, task.section, task.correctors, task.bpms)
    optics = section_optics(machine, design, ion, task.section)
    ensemble = draw_ensemble(lattice, optics, find_scenario(machine, scenario), PRIOR_SEED, PRIOR_MACHINES)
    bpm = machine.types.bpm
    smallest = bpm.noise.value if bpm.noise.range is None else bpm.noise.range[0]
    cells, planes = lattice.corrector_cell, lattice.corrector_plane
    partner = (cells[:, None] == cells[None, :]) & (planes[:, None] != planes[None, :])
    return SectionPrior(
        belief=belief_of(ensemble.bare_mm, ensemble.response_mm_per_a, bpm.offset.value / np.sqrt(3.0)),
        pair=np.where(partner.any(axis=1), partner.argmax(axis=1), -1),
        noise_mm=smallest / np.sqrt(bpm.readings_per_step),
        kick_a=machine.types.corrector.preflight_kick.value,
    )
