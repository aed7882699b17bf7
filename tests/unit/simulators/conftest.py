"""A lattice that needs no machine description: only who sits in which cell matters here."""

import numpy as np
import pytest

from simulators.cavity import CavityField
from simulators.elements import SolenoidMap
from simulators.lattice import IncomingBeam, Lattice


@pytest.fixture(scope="session")
def lattice() -> Lattice:
    """5 cells, a corrector pair and a BPM in each but the fourth."""
    cells = np.array([0, 1, 2, 4])
    nothing = np.zeros((4, 10))
    return Lattice(
        drift_m=0.085,
        solenoid=SolenoidMap(0.345, 0.08, nothing, nothing),
        cavity=CavityField(0.21, 1.845, np.zeros(21), np.zeros(21), np.zeros((1, 1))),
        bore_radius_m=0.02,
        corrector_cell=np.repeat(cells, 2),
        corrector_plane=np.tile([0, 1], 4),
        corrector_tm_per_a=np.full(8, 6.76e-5),
        bpm_cell=cells,
        incoming=IncomingBeam(2e-7, 2e-3, 0.0),
    )
