"""A small batch of injectors. The survival table is coarse: quick to make, good enough to move about in."""

import numpy as np
import pytest

from beamctl.engine.simulated.injector import rfq_parameters
from beamctl.engine.simulated.injector_batch import InjectorBatch, Population
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.machine.loader import load_injector
from simulators.survival import Grid, survival_table


@pytest.fixture(scope="session")
def injector():
    return load_injector("lpi")


@pytest.fixture(scope="session")
def coarse_table(injector):
    return survival_table(rfq_parameters(injector), grid=Grid(n_radius=15, n_angle=4, n_phase=12))


@pytest.fixture(scope="session")
def make_injectors(injector, coarse_table):
    """``make_injectors(("nominal", share, fixed_orbit), ..., seed=, n=)``."""

    def make(*kinds, seed=1, n=12, particles=64):
        populations = [
            Population(find_injector_scenario(injector, name), share, fixed_orbit=fixed) for name, share, fixed in kinds
        ]
        return InjectorBatch(injector, populations, np.random.default_rng(seed), n, coarse_table, particles)

    return make
