"""Which simulated injectors are trained on, selected on and reported on; the three never meet.

As in :mod:`beamctl.training.machines`, every set comes from its own branch of the seed.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from beamctl.engine.simulated.injector import design_setting, knob_limits, rfq_parameters
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.training.transmission_presets import TransmissionPreset
from simulators.diagnostics import median_noise_factor
from simulators.survival import SurvivalTable, survival_table

SELECTION_SEED = 20_230_514
"""seed of the fixed machines that choose the checkpoint"""
_TRAIN, _STEPS, _REPORT, _SELECT = range(10, 14)


def injector_problem(
    machine: InjectorDescription, *, solenoids_only: bool = False, step_share: float | None = None, max_steps: int = 30
) -> TransmissionProblem:
    """The transmission task of an injector."""
    lo, hi = knob_limits(machine)
    k = 2 if solenoids_only else len(lo)
    share = machine.lebt.supply.step_share.value if step_share is None else step_share
    monitors = machine.monitors
    return TransmissionProblem(
        task="rfq-transmission",
        knobs=tuple(knob.name for knob in machine.lebt.knobs[:k]),
        slots=np.arange(k),
        lo_a=lo[:k],
        hi_a=hi[:k],
        step_a=(share * (hi - lo))[:k],
        optimum_a=design_setting(machine)[:k],
        floor_ma=monitors.beam_floor.value,
        noise_ma=monitors.noise.value * median_noise_factor(monitors.readings_per_step),
        source_ma=machine.source.current.value,
        max_steps=max_steps,
    )


def survival(machine: InjectorDescription, folder: Path | None) -> SurvivalTable:
    """The RFQ as a table, kept in a folder."""
    return survival_table(rfq_parameters(machine), folder)


def training_injectors(
    machine: InjectorDescription, preset: TransmissionPreset, table: SurvivalTable, seed: int
) -> InjectorBatch:
    """Machines to train on: free orbit, fixed orbit, and some without beam."""
    usual = find_injector_scenario(machine, preset.scenario)
    populations = [
        Population(usual, 1.0 - preset.fixed_orbit_share - preset.dark_share),
        Population(usual, preset.fixed_orbit_share, fixed_orbit=True),
        Population(replace(usual, start_transmission=None), preset.dark_share),
    ]
    return InjectorBatch(machine, populations, _rng(seed, _TRAIN), preset.n_envs, table)


def step_limits(seed: int) -> np.random.Generator:
    """What the step limits of training episodes are drawn with."""
    return _rng(seed, _STEPS)


def report_injectors(
    machine: InjectorDescription, scenario: str, seed: int, n: int, *, fixed_orbit: bool = False
) -> InjectorBatch:
    """Machines that a report is made on, with the tracker behind the LEBT."""
    population = Population(find_injector_scenario(machine, scenario), fixed_orbit=fixed_orbit)
    return InjectorBatch(machine, [population], _rng(seed, _REPORT), n)


class FixedMachines:
    """The machines that choose a checkpoint: the same ones, with the same noise, at every look and in every training.

    Args:
        machine: the injector.
        preset: their scenario and number.
        table: the RFQ.
    """

    def __init__(self, machine: InjectorDescription, preset: TransmissionPreset, table: SurvivalTable) -> None:
        self._sets = []
        for fixed_orbit in (False, True):
            population = Population(find_injector_scenario(machine, preset.scenario), fixed_orbit=fixed_orbit)
            rng = _rng(SELECTION_SEED, _SELECT + fixed_orbit)
            batch = InjectorBatch(machine, [population], rng, preset.selection_machines, table)
            self._sets.append((batch, injector_problem(machine, solenoids_only=fixed_orbit)))

    def sets(self) -> Iterator[tuple[InjectorBatch, TransmissionProblem]]:
        """Machines and problem with free orbit, then with fixed orbit."""
        for batch, problem in self._sets:
            batch.restart(np.random.default_rng(SELECTION_SEED))
            yield batch, problem


def _rng(seed: int, branch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, branch]))
