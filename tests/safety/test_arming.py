"""What forbids to begin is said in a sentence that names it; nothing is written."""

import math
from dataclasses import replace

import pytest

from beamctl.errors import MachineDescriptionError, PermitLostError, SetpointLimitError
from beamctl.machine.loader import load_machine


@pytest.mark.parametrize(("lo", "hi"), [(0.0, 0.0), (math.nan, math.nan), (5.0, -5.0), (-math.inf, math.inf)])
def test_an_ioc_without_limits(rig, lo, hi):
    pv = rig.knobs[2].setpoint
    rig.limit(pv, lo, hi)
    with pytest.raises(SetpointLimitError, match=f"{pv} has no limits on the IOC"):
        rig.run().execute()
    assert rig.puts == []


def test_a_description_without_enable_pv(rig):
    rig.layout = replace(rig.layout, enable="")
    with pytest.raises(PermitLostError, match="names no tuner-enable PV"):
        rig.run().execute()
    assert rig.puts == []


def test_programs_may_not_tune(rig):
    rig.foreign(rig.layout.enable, 0.0)
    with pytest.raises(PermitLostError, match=f"programs may not tune: {rig.layout.enable}"):
        rig.run().execute()
    assert rig.puts == []


def test_a_description_without_limits(tmp_path):
    from beamctl.machine import loader

    text = (loader.Path(loader.__file__).parent / "files" / "cafe2.yaml").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("limits:"))
    file = tmp_path / "machine.yaml"
    file.write_text(text.replace(line + "\n", "", 1))
    with pytest.raises(MachineDescriptionError, match="limits"):
        load_machine(str(file))
