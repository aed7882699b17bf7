"""Which simulated injectors are trained on, selected on and reported on; the three never meet.

As in :mod:`beamctl.training.machines`, every set comes from its own branch of the seed.
"""

from pathlib import Path

import numpy as np

from beamctl.engine.simulated.injector import design_setting, knob_limits, rfq_parameters
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission_problem import TransmissionProblem
from simulators.diagnostics import median_noise_factor
from simulators.survival import SurvivalTable, survival_table

SELECTION_SEED = 20_230_514
_TRAIN, _SELECT, _REPORT = range(3)


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


def rng_of(seed: int, branch: int) -> np.random.Generator:
    """One branch of a seed."""
    return np.random.default_rng(np.random.SeedSequence([seed, branch, 7]))


def training_injectors(
    machine: InjectorDescription, populations: list[Population], table: SurvivalTable, seed: int, n: int
) -> InjectorBatch:
    """Machines to train on."""
    return InjectorBatch(machine, populations, rng_of(seed, _TRAIN), n, table)


def report_injectors(
    machine: InjectorDescription, scenario: str, seed: int, n: int, *, fixed_orbit: bool = False,
    table: SurvivalTable | None = None,
) -> InjectorBatch:  # fmt: skip
    """Machines that a report is made on, with the tracker."""
    one = Population(find_injector_scenario(machine, scenario), fixed_orbit=fixed_orbit)
    return InjectorBatch(machine, [one], rng_of(seed, _REPORT), n, table)
