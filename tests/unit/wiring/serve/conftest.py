"""The service's knowledge over a real store and simulated machines."""

from collections.abc import Callable, Iterator

import pytest

from beamctl.settings import Settings
from beamctl.store.open import open_store
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.serve.machines import DescribedMachines
from tests.simulated_site import SimulatedSite


class Place(SimulatedSite):
    """A site, and what the service knows of it."""

    @property
    def machines(self) -> DescribedMachines:
        """Made once."""
        if "_machines" not in self.__dict__:
            self._machines = DescribedMachines(self.deployment, self.store)
        return self._machines


@pytest.fixture
def make_place(tmp_path) -> Iterator[Callable[..., Place]]:
    """``make_place(prefix="T:")``: with other settings; ``scenarios`` as of the soft IOC."""
    opened = []

    def make(scenarios=("err5",), **settings) -> Place:
        opened.append(open_store(f"sqlite:///{tmp_path}/{len(opened)}.db"))
        return Place(opened[-1], Deployment(Settings(agents=tmp_path / "agents", **settings)), scenarios)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def place(make_place) -> Place:
    """The usual one."""
    return make_place()
