"""Which simulated injectors are trained on, selected on and reported on; the three never meet.

As in :mod:`beamctl.training.machines`, every set comes from its own branch of the seed.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from beamctl.engine.simulated.injector import rfq_parameters
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.training.transmission_presets import TransmissionPreset
from simulators.survival import SurvivalTable, survival_table

SELECTION_SEED = 20_230_514
"""seed of the fixed machines that choose the checkpoint"""
_TRAIN, _STEPS, _REPORT, _SELECT = range(10, 14)
_ENVELOPE = 30
"""behind the branches of selection, one per task"""
_PRIOR = 20


def whole_problem(machine: InjectorDescription) -> TransmissionProblem:
    """The task in which every knob of the injector takes part."""
    name = max(machine.tasks, key=lambda task: len(machine.tasks[task].knobs))
    return transmission_problem(machine, name)


def survival(machine: InjectorDescription, folder: Path | None) -> SurvivalTable:
    """The RFQ as a table, kept in a folder."""
    return survival_table(rfq_parameters(machine), folder)


def training_injectors(
    machine: InjectorDescription, preset: TransmissionPreset, table: SurvivalTable, seed: int
) -> InjectorBatch:
    """Machines to train on: free orbit, fixed orbit, some without beam, some further off than described."""
    usual = find_injector_scenario(machine, preset.scenario)
    odd = [Population(find_injector_scenario(machine, name), share) for name, share in preset.odd_shares]
    rest = 1.0 - preset.fixed_orbit_share - preset.dark_share - sum(share for _, share in preset.odd_shares)
    populations = [
        *odd,
        Population(usual, rest),
        Population(usual, preset.fixed_orbit_share, fixed_orbit=True),
        Population(replace(usual, start_transmission=None), preset.dark_share),
    ]
    return InjectorBatch(machine, populations, _rng(seed, _TRAIN), preset.n_envs, table)


def step_limits(seed: int) -> np.random.Generator:
    """What the step limits of training episodes are drawn with."""
    return _rng(seed, _STEPS)


def report_injectors(machine: InjectorDescription, task: str, scenario: str, seed: int, n: int) -> InjectorBatch:
    """Machines that a report on a task is made on, with the tracker behind the LEBT."""
    population = Population(find_injector_scenario(machine, scenario), fixed_orbit=has_fixed_orbit(machine, task))
    return InjectorBatch(machine, [population], _rng(seed, _REPORT), n)


def envelope_injectors(
    machine: InjectorDescription, task: str, scenario: str, seed: int, n: int, table: SurvivalTable | None
) -> InjectorBatch:
    """Machines that show what an agent usually sees in a task."""
    population = Population(find_injector_scenario(machine, scenario), fixed_orbit=has_fixed_orbit(machine, task))
    return InjectorBatch(machine, [population], _rng(seed, _ENVELOPE), n, table, stock=n)


def prior_injectors(machine: InjectorDescription, seed: int, n: int) -> InjectorBatch:
    """Machines of the nominal scenario that the prior of the Gaussian process is fitted to, with the tracker."""
    return InjectorBatch(machine, [Population(find_injector_scenario(machine, "nominal"))], _rng(seed, _PRIOR), n)


def has_fixed_orbit(machine: InjectorDescription, task: str) -> bool:
    """Whether correctors stay where they are found in a task."""
    knobs = machine.tasks[task].knobs
    return any(knob.name not in knobs for knob in machine.lebt.knobs)


class FixedMachines:
    """The machines that choose a checkpoint: the same ones, with the same noise, at every look and in every training.

    Args:
        machine: the injector.
        preset: their scenario and number.
        table: the RFQ.
    """

    def __init__(self, machine: InjectorDescription, preset: TransmissionPreset, table: SurvivalTable) -> None:
        self._sets: dict[str, tuple[InjectorBatch, TransmissionProblem]] = {}
        for branch, task in enumerate(machine.tasks, start=_SELECT):
            scenario = find_injector_scenario(machine, preset.scenario)
            population = Population(scenario, fixed_orbit=has_fixed_orbit(machine, task))
            batch = InjectorBatch(machine, [population], _rng(SELECTION_SEED, branch), preset.selection_machines, table)
            self._sets[task] = batch, transmission_problem(machine, task)

    def sets(self) -> Iterator[tuple[InjectorBatch, TransmissionProblem]]:
        """Machines and problem of each task of the injector."""
        for batch, problem in self._sets.values():
            batch.restart(np.random.default_rng(SELECTION_SEED))
            yield batch, problem


def _rng(seed: int, branch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, branch]))
