"""A site, and training configurations small enough to run in a second. Seeds are fixed."""

from dataclasses import replace

import pytest
import torch

from beamctl.machine.loader import load_ion, load_machine
from beamctl.training.machines import Site
from beamctl.training.presets import AS_PUBLISHED, FAST, Preset

SMALL = {
    "n_envs": 8, "gradient_steps": 8, "batch_size": 16, "learning_starts": 64, "buffer_size": 2000, "net": (16, 16),
    "average_updates": 32, "updates": 240, "evaluate_every": 120,
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums in one order, so that the same seed gives the same weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def site() -> Site:
    machine = load_machine("cafe2")
    ion = load_ion(machine.ion)
    return Site(machine, ion, ion)


@pytest.fixture(scope="session")
def small_raw() -> Preset:
    """As published, in small: raw readings of the task's own module."""
    return replace(AS_PUBLISHED, **SMALL)


@pytest.fixture(scope="session")
def small_fast() -> Preset:
    """The preset that the shipped agent comes from, in small: virtual modules, normalised, symmetric."""
    return replace(FAST, **SMALL, learning_rate_end=FAST.learning_rate)
