"""The optional fence of a supply: in the description, in its hash, in the layout of a run."""

import pytest

from beamctl.engine.fenced import fences_of
from beamctl.engine.layout import Fence, injector_layout, section_layout
from beamctl.errors import MachineDescriptionError
from beamctl.machine.description import description_hash
from beamctl.machine.loader import FILES, load_ion, load_machine

CM1 = 'setpoint: "HCM1_PS:DCH_01:ISet"'


def own(tmp_path, fence, name="cafe2", setpoint=CM1, separator=", "):
    text = (FILES / f"{name}.yaml").read_text(encoding="utf-8")
    assert setpoint in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(setpoint, f"fence: {fence}{separator}{setpoint}", 1), encoding="utf-8")
    return load_machine(str(path))


def test_a_knob_gets_its_fence_with_the_prefix(tmp_path):
    machine = own(tmp_path, '{request: "F:Request", acknowledge: "F:Acknowledge", clock: "F:Clock"}')
    layout = section_layout(machine, machine.tasks["cm1-orbit"], "soft:")
    fences = fences_of(layout.knobs)
    assert fences == {"soft:HCM1_PS:DCH_01:ISet": Fence("soft:F:Request", "soft:F:Acknowledge", "soft:F:Clock")}
    assert [k.fence is None for k in layout.knobs].count(False) == 1


def test_an_injector_supply_may_have_one_too(tmp_path):
    machine = load_machine("lpi")
    first = machine.lebt.knobs[0]
    fence = '{request: "F:Request", acknowledge: "F:Acknowledge", clock: "F:Clock"}'
    fenced = own(tmp_path, fence, "lpi", f'setpoint: "{first.setpoint}"', "\n" + 8 * " ")
    task = next(iter(fenced.tasks.values()))
    assert list(fences_of(injector_layout(fenced, task).knobs)) == [first.setpoint]


def test_a_fence_does_not_unbind_an_agent(tmp_path):
    machine = own(tmp_path, '{request: "F:Request", acknowledge: "F:Acknowledge", clock: "F:Clock"}')
    ion = load_ion("40Ar12+")
    assert description_hash(machine, ion, "cm1") == description_hash(load_machine("cafe2"), ion, "cm1")


@pytest.mark.parametrize(
    ("fence", "message"),
    [
        ('{request: "F:Request", acknowledge: "F:Acknowledge"}', "clock"),
        ('{request: "F:Request", acknowledge: "F:Request", clock: "F:Clock"}', "already used"),
        ('{request: "HCM1_PS:DCV_01:ISet", acknowledge: "F:Acknowledge", clock: "F:Clock"}', "already used"),
    ],
)
def test_faults(tmp_path, fence, message):
    with pytest.raises(MachineDescriptionError, match=message):
        own(tmp_path, fence)
