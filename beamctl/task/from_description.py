"""An orbit task of a machine description as a concrete problem, with the nominal response from our model."""

import numpy as np

from beamctl.engine.simulated.lattice import model_response, section_lattice, section_optics
from beamctl.machine.description import Corrector, IonDescription, MachineDescription
from beamctl.machine.loader import find_task
from beamctl.task.problem import OrbitProblem


def task_correctors(machine: MachineDescription, task_name: str) -> list[Corrector]:
    """The task's correctors along the beam."""
    task = find_task(machine, task_name)
    return [c for c in machine.sections[task.section].correctors if c.name in task.correctors]


def orbit_problem(
    machine: MachineDescription,
    design: IonDescription,
    ion: IonDescription,
    task_name: str,
    target_mm: float | None = None,
    max_steps: int | None = None,
) -> OrbitProblem:
    """Limits, steps and nominal response of a task.

    Args:
        machine: the description.
        design: the ion that the description is written for.
        ion: the ion that runs.
        task_name: one of ``machine.tasks``.
        target_mm, max_steps: instead of the task's own.

    Raises:
        UnknownNameError: no such task.
    """
    task = find_task(machine, task_name)
    kind = machine.types.corrector
    lattice = section_lattice(machine, task.section, task.correctors, task.bpms)
    k = lattice.n_corrector
    return OrbitProblem(
        task=task_name,
        response_mm_per_a=model_response(lattice, section_optics(machine, design, ion, task.section)),
        lo_a=np.full(k, kind.limits.lo),
        hi_a=np.full(k, kind.limits.hi),
        step_a=np.full(k, kind.step_limit.value),
        first_move_a=kind.first_move.value,
        slots=2 * lattice.corrector_cell + lattice.corrector_plane,
        target_mm=task.target_mm if target_mm is None else target_mm,
        max_steps=task.max_steps if max_steps is None else max_steps,
    )
