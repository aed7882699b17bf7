"""The machine that comes with beamctl, against what its sources say of it."""

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from beamctl.errors import UnknownNameError
from beamctl.machine.description import MachineDescription
from beamctl.machine.loader import FILES, find_task, known_ions, known_machines, load_ion, load_machine
from beamctl.machine.quantity import Limits, Origin, Quantity

MACHINE = load_machine("cafe2")
PUBLISHED_POLARITY = [1, -1, -1, -1, -1, 1, 1, -1, -1, 1, 1, 1]


def origins(node: object, path: str = "") -> Iterator[tuple[str, Origin]]:
    if isinstance(node, Origin):
        yield path, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from origins(getattr(node, name), f"{path}.{name}")
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from origins(child, f"{path}.{name}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from origins(child, f"{path}[{i}]")


def supply_pvs(module: int, numbers: list[int], field: str) -> list[str]:
    return [f"HCM{module}_PS:{kind}_{n:02}:{field}" for n in numbers for kind in ("DCH", "DCV")]


def orbit_pvs(first: int, last: int) -> list[str]:
    return [f"Bpm:{n}-{plane}11" for n in range(first, last + 1) for plane in "XY"]


def test_every_machine_and_ion_that_comes_with_beamctl_loads():
    assert known_machines() == ["cafe2", "lpi"]
    assert {"40Ar12+", "40Ca14+", "54Cr17+", "1H1+"} <= set(known_ions())
    assert [load_ion(name).name for name in known_ions()] == known_ions()
    assert MACHINE.ion in known_ions()
    ion_sections = {section for name in known_ions() for section in load_ion(name).energy}
    assert ion_sections <= set(MACHINE.sections)


@pytest.mark.parametrize(
    ("section", "module", "cells", "bpms"),
    [
        ("cm1", 1, [1, 2, 3, 4, 5], (6, 10)),
        ("cm2", 2, [1, 2, 3, 5], (11, 14)),
        ("cm3", 3, [1, 2, 3, 4, 5], (15, 19)),
    ],
)
def test_process_variables_are_those_of_the_sources(section, module, cells, bpms):
    described = MACHINE.sections[section]
    assert [c.setpoint for c in described.correctors] == supply_pvs(module, cells, "ISet")
    assert [c.readback for c in described.correctors] == supply_pvs(module, cells, "IMon")
    assert [pv for b in described.bpms for pv in (b.x, b.y)] == orbit_pvs(*bpms)
    solenoids = [(c.solenoid.setpoint, c.solenoid.readback) for c in described.cells]
    assert solenoids == [(f"HCM{module}_PS:SOL_0{n}:ISet", f"HCM{module}_PS:SOL_0{n}:IMon") for n in range(1, 6)]


@pytest.mark.parametrize(
    ("section", "correctors", "bpms"), [("cm1", 10, 5), ("cm2", 8, 4), ("cm3", 10, 5)]
)  # fmt: skip
def test_a_task_uses_every_corrector_and_bpm_of_its_section(section, correctors, bpms):
    described, task = MACHINE.sections[section], find_task(MACHINE, f"{section}-orbit")
    assert (len(described.correctors), len(described.bpms)) == (correctors, bpms)
    assert task.correctors == [c.name for c in described.correctors]
    assert task.bpms == [b.name for b in described.bpms]
    assert (task.section, task.target_mm, task.max_steps) == (section, 0.5, 50)


def test_cm2_has_neither_corrector_pair_nor_bpm_in_its_fourth_cell():
    fourth = MACHINE.sections["cm2"].cells[3]
    assert fourth.correctors == []
    assert fourth.bpm is None


def test_polarity_is_the_published_one():
    correctors = MACHINE.sections["cm1"].correctors
    assert [c.polarity for c in correctors] == PUBLISHED_POLARITY[: len(correctors)]
    assert [c.plane for c in correctors] == ["x", "y"] * 5


def test_stated_numbers():
    corrector, geometry, cm1 = MACHINE.types.corrector, MACHINE.geometry, MACHINE.sections["cm1"]
    assert (corrector.unit_a.value, corrector.limits.lo, corrector.limits.hi) == (1.85, -74.0, 74.0)
    assert corrector.first_move.value == pytest.approx(0.3 * 1.85)
    assert (geometry.drift.value, geometry.pitch.value, geometry.bore_radius.value) == (85, 640, 20)
    assert (MACHINE.frequency.value, cm1.energy.value) == (162.5, 1.356)
    assert [cell.solenoid.setting for cell in cm1.cells] == [0.81, -0.81, -0.83, -0.89, -0.75]
    assert [(c.cavity.ke, c.cavity.phase_deg) for c in cm1.cells[:2]] == [(1.48, -45), (1.44, -26)]
    assert MACHINE.misalignment.solenoid_offset.value == 3.0
    assert MACHINE.misalignment.incoming_position.value == pytest.approx(0.2 * 3.0)
    argon = load_ion("40Ar12+")
    assert (argon.mass.value, argon.nucleons, argon.charge_state) == (37218.592, 40, 12)


def test_every_number_is_stated_or_assumed_and_assumptions_have_a_range():
    found = [(path, o) for root in (MACHINE, *map(load_ion, known_ions())) for path, o in origins(root)]
    assert len(found) > 50
    assert [path for path, o in found if (o.source is None) == (o.assumed is None)] == []
    assumed = [(path, o) for path, o in found if o.assumed is not None]
    assert [path for path, o in assumed if isinstance(o, Quantity) and o.range is None] == []
    assert all(o.range[0] < o.range[1] for _, o in assumed if isinstance(o, Quantity))
    assert all(isinstance(o, Quantity | Limits) for _, o in found)


def test_what_the_machine_refuses_and_what_it_does_fit_together():
    corrector, bpm, beat = MACHINE.types.corrector, MACHINE.types.bpm, MACHINE.heartbeat
    assert corrector.first_move.value <= corrector.unit_a.value <= corrector.step_limit.value
    assert corrector.step_limit.value < corrector.limits.hi - corrector.limits.lo
    assert 3 * corrector.readback_noise.value < corrector.tolerance.value
    assert 2 / bpm.rate.value < bpm.max_age.value
    assert 2 * beat.period.value < beat.max_age.value
    assert bpm.valid.hi < MACHINE.geometry.bore_radius.value
    assert MACHINE.identity.live != MACHINE.identity.simulated


def test_the_schema_file_is_the_schema():
    text = (FILES / "machine.schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(MachineDescription.model_json_schema(), indent=1) + "\n"
    assert (
        (FILES / "cafe2.yaml").read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=machine.schema")
    )


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownNameError, match=r"'cafe3'.*cafe2"):
        load_machine("cafe3")
    with pytest.raises(UnknownNameError, match=r"54Cr17\+"):
        load_ion("238U")
    with pytest.raises(UnknownNameError, match="cm1-orbit, cm2-orbit, cm3-orbit"):
        find_task(MACHINE, "cm4-orbit")


@pytest.mark.parametrize("name", ["../cafe2", "files/cafe2.yaml", ".", "", "\0.yaml"])
def test_a_name_is_no_path_into_the_package(name):
    with pytest.raises(UnknownNameError):
        load_machine(name)


def test_units_become_the_canonical_one(tmp_path):
    text = (FILES / "ions" / "40Ar12+.yaml").read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text + "energy:\n  cm1: {value: 1356, unit: keV/u, source: test, range: [1300, 1400]}\n")
    energy = load_ion(str(own)).energy["cm1"]
    assert (energy.unit, energy.value, energy.range) == ("MeV/u", pytest.approx(1.356), pytest.approx((1.3, 1.4)))
    assert energy.si() == pytest.approx(1.356e6)
    assert not MACHINE.types.corrector.limits.contains(float("nan"))
