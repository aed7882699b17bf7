"""Families of matched settings of an injector: where its error-free model has maxima over the two solenoids."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from beamctl.agent.gaussian_process import GpParameters
from beamctl.engine.simulated.injector import design_setting, knob_limits
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission import MFC1, Array
from beamctl.training.injectors import prior_injectors, whole_problem
from beamctl.training.transmission_best import search_from

POINTS = 31
"""per solenoid"""
LEAST_SHARE = 0.8
"""of the highest maximum: lower ones are no family"""
APART = 0.15
"""ranges; closer maxima belong together"""
JUDGES = 24
"""machines that say which family reaches more"""
SEED = 0


def injector_families(machine: InjectorDescription) -> Array:
    """Settings in the middle of each family, the one first in which random machines reach most, A, shape (n, 6)."""
    lo, hi = knob_limits(machine)
    scenario = find_injector_scenario(machine, "ideal")
    ideal = InjectorBatch(machine, [Population(scenario)], np.random.default_rng(SEED), 1)
    axis = np.linspace(0.0, 1.0, POINTS)
    current = np.empty((POINTS, POINTS))
    setting = design_setting(machine)
    for i, first in enumerate(axis):
        for j, second in enumerate(axis):
            setting[:2] = lo[:2] + (hi - lo)[:2] * (first, second)
            current[i, j] = ideal.true_ma(setting[None])[0, MFC1]
    smooth = gaussian_filter(current, 1.0)
    peaks = smooth == maximum_filter(smooth, size=1 + 2 * int(APART * POINTS))
    found = np.argwhere(peaks & (smooth >= LEAST_SHARE * smooth.max()))
    families = np.tile(design_setting(machine), (len(found), 1))
    families[:, :2] = lo[:2] + (hi - lo)[:2] * axis[found]
    batch, problem = prior_injectors(machine, SEED, JUDGES), whole_problem(machine)
    reached = [search_from(batch, problem, family, np.random.default_rng(SEED)).mean() for family in families]
    return families[np.argsort(reached)[::-1]]


def families_of(parameters: GpParameters, machine: InjectorDescription) -> Array:
    """The middles of a prior's families, A, shape (n, 6)."""
    lo, hi = knob_limits(machine)
    return np.array([lo + (hi - lo) * np.array(family.centre) for family in parameters.families])
