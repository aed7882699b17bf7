"""The description of the injector, and what a wrong one is told."""

import json

import numpy as np
import pytest

from beamctl.engine.simulated.injector import (
    design_setting,
    knob_limits,
    knob_scale,
    lebt_geometry,
    nominal_spec,
    rfq_parameters,
    rfq_table,
    settings,
)
from beamctl.errors import MachineDescriptionError
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import FILES, find_transmission_task, load_injector, load_linac, load_machine
from simulators.lebt import LebtGeometry
from simulators.lpi import LpiSpec, Settings, nominal, run
from simulators.rfq_design import RfqParameters

TEXT = (FILES / "lpi.yaml").read_text(encoding="utf-8")
MACHINE = load_injector("lpi")


def faults_of(tmp_path, old, new):
    assert old in TEXT
    path = tmp_path / "own.yaml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(MachineDescriptionError) as caught:
        load_machine(str(path))
    return "\n".join(caught.value.faults)


def test_knobs_are_the_solenoids_then_the_pairs_along_the_beam():
    assert [k.name for k in MACHINE.lebt.knobs] == ["SOL_01", "SOL_02", "DCH_01", "DCV_01", "DCH_02", "DCV_02"]
    assert [k.setpoint for k in MACHINE.lebt.knobs][:3] == [
        "LEBT_PS:SOL_01:ISet", "LEBT_PS:SOL_02:ISet", "LEBT_PS:DCH_01:ISet",
    ]  # fmt: skip


def test_tasks_are_free_and_fixed_orbit():
    assert len(find_transmission_task(MACHINE, "rfq-transmission").knobs) == 6
    assert find_transmission_task(MACHINE, "rfq-transmission-fixed-orbit").knobs == ["SOL_01", "SOL_02"]


def test_the_description_is_the_simulators_default_machine():
    assert rfq_parameters(MACHINE) == RfqParameters()
    assert lebt_geometry(MACHINE) == LebtGeometry()
    spec, default = nominal_spec(MACHINE), LpiSpec()
    for field in LpiSpec.__dataclass_fields__:
        np.testing.assert_allclose(getattr(spec, field), getattr(default, field), rtol=1e-12, err_msg=field)


def test_amperes_become_tesla_and_radian():
    lo, hi = knob_limits(MACHINE)
    top = settings(MACHINE, hi)
    np.testing.assert_allclose(top[:2], [0.32, 0.34])
    np.testing.assert_allclose(top[2:], [20e-3, 20e-3, 30e-3, 30e-3], rtol=2e-3)
    np.testing.assert_allclose(settings(MACHINE, np.stack([lo, hi])), np.stack([lo, hi]) * knob_scale(MACHINE))


def test_the_design_setting_is_within_one_per_cent_of_what_the_model_can_reach():
    machine = nominal(rfq_table(MACHINE), np.random.default_rng(61), lebt_geometry(MACHINE))
    reached = run(machine, Settings(*settings(MACHINE, design_setting(MACHINE)))).mfc1_a / machine.source.current_a
    print(f"MFC1 / source current at the design setting: {reached:.3f}")
    assert reached > 0.98


def test_the_schema_file_is_the_schema():
    text = (FILES / "injector.schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(InjectorDescription.model_json_schema(), indent=1) + "\n"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: injector", "kind: cyclotron", "unknown kind 'cyclotron'; known: linac, injector"),
        ('setpoint: "LEBT_PS:SOL_02:ISet"', 'setpoint: "LEBT_PS:SOL_01:ISet"', "already used by"),
        ("name: DCV_02", "name: DCH_02", "already the name of"),
        ("knobs: [SOL_01, SOL_02]", "knobs: [SOL_01, SOL_03]", "knob 'SOL_03' does not exist; known: SOL_01"),
        ("lo: 100.0, hi: 320.0", "lo: 320.0, hi: 100.0", "swapped?"),
        ('calibration: {value: 1.0, unit: mT/A', 'calibration: {value: 1.0, unit: mT', "solenoid calibration needs"),
    ],
)  # fmt: skip
def test_faults_have_a_line_and_say_what_is_wrong(tmp_path, old, new, expected):
    faults = faults_of(tmp_path, old, new)
    assert expected in faults
    assert faults.startswith("own.yaml:")


def test_a_machine_of_the_other_kind_is_refused():
    with pytest.raises(MachineDescriptionError, match="lpi is of kind injector"):
        load_linac("lpi")
    with pytest.raises(MachineDescriptionError, match="cafe2 is of kind linac"):
        load_injector("cafe2")
