"""Which simulated machines are trained on, selected on and reported on; the three never meet.

Every set comes from its own branch of the seed, so a set stays the same whatever else was drawn before.
"""

from dataclasses import dataclass, replace

import numpy as np

from beamctl.engine.simulated.batch import MachineBatch, ModulePool, make_pool
from beamctl.engine.simulated.lattice import section_lattice, section_optics
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.engine.simulated.virtual_modules import virtual_modules
from beamctl.machine.description import IonDescription, MachineDescription
from beamctl.machine.loader import find_task
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitProblem
from beamctl.training.presets import Preset

N_VIRTUAL_MODULES = 64
ROOM = 3.0
"""virtual modules have supplies this much stronger: episodes that hang at a limit would crowd the replay buffer, and
limits are the normalisation's business (it leaves out correctors that are held by one)"""
SELECTION_SEED = 20_230_513
"""seed of the fixed machines that choose the checkpoint"""
_TRAIN, _MODULES, _SELECT, _REPORT, _ENVELOPE = range(5)


@dataclass(frozen=True)
class Site:
    """A machine description with the ion it is written for and the ion that runs."""

    machine: MachineDescription
    design: IonDescription
    ion: IonDescription


def task_pool(site: Site, task_name: str, *, opposite_solenoids: bool = False) -> ModulePool:
    """The task's own module, as described, or with all solenoids (and what the model knows of them) reversed."""
    task = find_task(site.machine, task_name)
    lattice = section_lattice(site.machine, task.section, task.correctors, task.bpms)
    optics = section_optics(site.machine, site.design, site.ion, task.section)
    sign = -1.0 if opposite_solenoids else 1.0
    return make_pool(lattice, replace(optics, solenoid_t=sign * optics.solenoid_t))


def training_batch(site: Site, task_name: str, preset: Preset, seed: int) -> tuple[MachineBatch, OrbitProblem]:
    """Machines to train on, and the problem they pose."""
    problem = preset_problem(site, task_name, preset)
    if preset.modules == "virtual":
        modules = virtual_modules(site.machine, site.design, _rng(seed, _MODULES), N_VIRTUAL_MODULES)
        k = modules.lattice.n_corrector
        problem = replace(
            problem,
            task=f"{N_VIRTUAL_MODULES} virtual modules",
            response_mm_per_a=modules.response_mm_per_a,
            lo_a=np.full(k, ROOM * problem.lo_a[0]),
            hi_a=np.full(k, ROOM * problem.hi_a[0]),
            step_a=np.full(k, problem.step_a[0]),
            slots=2 * modules.lattice.corrector_cell + modules.lattice.corrector_plane,
        )
    else:
        modules = task_pool(site, task_name)
    spec = find_scenario(site.machine, preset.scenario)
    readings = preset.readings or site.machine.types.bpm.readings_per_step
    return MachineBatch(modules, spec, _rng(seed, _TRAIN), preset.n_envs, readings), problem


def selection_batch(site: Site, task_name: str, scenario: str, n: int = 200) -> MachineBatch:
    """The fixed machines that choose a checkpoint."""
    return _batch(site, task_pool(site, task_name), scenario, _rng(SELECTION_SEED, _SELECT), n)


def report_batch(
    site: Site, task_name: str, scenario: str, seed: int, n: int, *, opposite_solenoids: bool = False
) -> MachineBatch:
    """Machines that a report is made on: the same misalignments in every scenario of one seed."""
    pool = task_pool(site, task_name, opposite_solenoids=opposite_solenoids)
    return _batch(site, pool, scenario, _rng(seed, _REPORT), n)


def envelope_batch(site: Site, task_name: str, scenario: str, seed: int, n: int) -> MachineBatch:
    """Machines that show what an agent usually sees."""
    return _batch(site, task_pool(site, task_name), scenario, _rng(seed, _ENVELOPE), n)


def preset_problem(site: Site, task_name: str, preset: Preset) -> OrbitProblem:
    """The task with the preset's step and target."""
    problem = orbit_problem(site.machine, site.design, site.ion, task_name, preset.target_mm)
    if preset.step_units is None:
        return problem
    step = preset.step_units * site.machine.types.corrector.unit_a.value
    return replace(problem, step_a=np.full(problem.n_corrector, step))


def _batch(site: Site, pool: ModulePool, scenario: str, rng: np.random.Generator, n: int) -> MachineBatch:
    spec = find_scenario(site.machine, scenario)
    return MachineBatch(pool, spec, rng, n, site.machine.types.bpm.readings_per_step)


def _rng(seed: int, branch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, branch]))
