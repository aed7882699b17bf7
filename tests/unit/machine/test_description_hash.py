"""What a trained agent is bound to: everything that its section's response depends on, and nothing else."""

import pytest

from beamctl.machine.description import description_hash
from beamctl.machine.loader import FILES, load_ion, load_machine

TEXT = (FILES / "cafe2.yaml").read_text(encoding="utf-8")
ION = load_ion("40Ar12+")


def hash_of(tmp_path, old="", new="", section="cm1"):
    assert old in TEXT
    path = tmp_path / "own.yaml"
    path.write_text(TEXT.replace(old, new, 1) if old else TEXT, encoding="utf-8")
    return description_hash(load_machine(str(path)), ION, section)


REFERENCE = description_hash(load_machine("cafe2"), ION, "cm1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("# CAFe II: three cryomodules", "# Something else"),
        ('source: "TBSAC, and the BPM pitch of the 2017 data"', "source: measured again"),
        ("range: [6.64, 9.96]", "range: [7.0, 9.0]"),
        ("title: Cryomodule 1", "title: The first one"),
        ("title: CAFe II superconducting section", "title: Another title"),
        ("pitch: {value: 640, unit: mm", "pitch: {value: 0.64, unit: m"),
        (
            'name: DCH_01, plane: x, polarity: 1, setpoint: "HCM2',
            'name: DCH_01, plane: x, polarity: -1, setpoint: "HCM2',
        ),
        ("energy: {value: 2.473", "energy: {value: 2.4"),
        ("Correct the orbit of cryomodule 1", "Centre the beam"),
        ("preflight_kick: {value: 6.0", "preflight_kick: {value: 5.0"),
    ],
)
def test_does_not_change_with(tmp_path, old, new):
    assert hash_of(tmp_path, old, new) == REFERENCE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'name: DCH_01, plane: x, polarity: 1, setpoint: "HCM1',
            'name: DCH_01, plane: x, polarity: -1, setpoint: "HCM1',
        ),
        ("setting: 0.81}", "setting: 0.8}"),
        ("energy: {value: 1.356", "energy: {value: 1.4"),
        ("pitch: {value: 640", "pitch: {value: 641"),
        ("value: 0.0676", "value: 0.05"),
        ("step_limit: {value: 15.0", "step_limit: {value: 10.0"),
        ("frequency: {value: 162.5", "frequency: {value: 325"),
        ("ion: 40Ar12+", "ion: 40Ca14+"),
        ("phase_deg: -45", "phase_deg: -40"),
        ('"HCM1_PS:DCH_01:ISet"', '"HCM1_PS:DCH_11:ISet"'),
    ],
)
def test_changes_with(tmp_path, old, new):
    assert hash_of(tmp_path, old, new) != REFERENCE


def test_every_section_and_every_ion_has_its_own():
    machine = load_machine("cafe2")
    hashes = [description_hash(machine, load_ion(i), s) for i in ("40Ar12+", "54Cr17+") for s in machine.sections]
    assert len(set(hashes)) == len(hashes)
    assert all(len(h) == 64 for h in hashes)
