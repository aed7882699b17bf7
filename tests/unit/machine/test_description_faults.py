"""A wrong file: every fault at once, each with its line and field, and never a traceback."""

import copy
import datetime
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from beamctl.errors import BeamControlError, MachineDescriptionError
from beamctl.machine.loader import FILES, load_ion, load_machine

TEXT = (FILES / "cafe2.yaml").read_text(encoding="utf-8")
FIXED = settings(derandomize=True, database=None, deadline=None)
"""the same examples in every run"""
FAULT = re.compile(r"^[^\n:]+:(\d+): [^\n]+: [^\n]+$")

EDITS = {
    "identity.pv": ('pv: "CAFE2:Identity"', 'pv: "CAFE2 Identity"', "match pattern"),
    "heartbeat.period": ("period: {value: 0.1", "period: {value: 5.0", "value 5 lies outside its range [0.1, 1]"),
    "geometry.pitch": ("pitch: {value: 640, unit: mm", "pitch: {value: 640, unit: furlong", "unknown unit 'furlong'"),
    "geometry.bore_radius": (
        'bore_radius: {value: 20, unit: mm, source: "TBSAC"}', "bore_radius: {value: 20, unit: mm}", "source:"),
    "geometry.colour": ("beam:\n", "  colour: red\n\nbeam:\n", "not permitted"),
    "misalignment.incoming_angle": (
        'unit: mrad, assumed: "not stated', 'unit: mrad, source: me, assumed: "not stated', "either source:"),
    "types.corrector.unit_a": ("unit_a: {value: 1.85", "unit_a: {value: 0", "must be above 0, is 0 A"),
    "types.corrector.limits": ("{lo: -74.0, hi: 74.0", "{lo: 74.0, hi: -74.0", "lo 74 is not below hi -74: swapped?"),
    "types.corrector.settle_time": (
        "settle_time: {value: 0.3, unit: s", "settle_time: {value: 0.3, unit: mm", "unit of length 'mm'"),
    "types.cavity.gap_rms": (
        'gap_rms: {value: 18, unit: mm, assumed: "as above", range: [12, 20]}',
        'gap_rms: {value: 18, unit: mm, assumed: "as above"}', "needs its range"),
    "sections.cm1.cells[0].solenoid.setting": ("setting: 0.81}", "setting: .nan}", "finite number"),
    "sections.cm1.cells[0].correctors[1].setpoint": (
        '"HCM1_PS:DCV_01:ISet"', '"HCM1_PS:DCH_01:ISet"',
        "already used by sections.cm1.cells.0.correctors.0.setpoint"),
    "sections.cm1.cells[1].correctors[0].polarity": (
        "DCH_02, plane: x, polarity: -1", "DCH_02, plane: x, polarity: 0", "1 or -1"),
    "sections.cm1.cells[1].bpm.name": ("name: BPM_07", "name: BPM_06", "'BPM_06' is already the name of"),
    "tasks.cm1-orbit.bpms[1]": ("[BPM_06, BPM_07, BPM_08", "[BPM_06, BPM_7, BPM_08", "BPM 'BPM_7' is not in section"),
    "tasks.cm2-orbit.correctors[6]": (
        "DCV_03, DCH_05, DCV_05]", "DCV_03, DCH_04, DCV_05]", "'DCH_04' is not in section 'cm2'"),
    "tasks.cm3-orbit.section": ("section: cm3", "section: cm4", "section 'cm4' does not exist; known: cm1, cm2, cm3"),
}  # fmt: skip
"""by field: what is replaced, by what, and words of the message"""


def faults_of(path, load=load_machine):
    with pytest.raises(MachineDescriptionError) as error:
        load(str(path))
    assert str(error.value).startswith(f"{len(error.value.faults)} fault")
    return error.value.faults


def written(tmp_path, text, name="machine.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_fault_is_reported_at_once_with_its_line_and_field(tmp_path):
    text = TEXT
    for old, new, _ in EDITS.values():
        assert old in text
        text = text.replace(old, new, 1)
    faults = faults_of(written(tmp_path, text))
    found = {}
    for fault in faults:
        place, field, message = fault.split(": ", 2)
        found[field] = (place, message)
    assert set(found) >= set(EDITS)
    assert len(faults) == len(EDITS)
    lines = text.splitlines()
    for field, (place, message) in found.items():
        name, line = place.split(":")
        assert name == "machine.yaml"
        assert EDITS[field][2] in message
        named = re.findall(r"[a-z_]+", field)[-1]
        assert named in lines[int(line) - 1], (field, lines[int(line) - 1])


def test_missing_fields_are_reported_where_they_are_missed(tmp_path):
    text = TEXT.replace('permit: "CAFE2:BeamPermit"', "").replace("plane: x, ", "", 1)
    faults = faults_of(written(tmp_path, text))
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "DCH_01" in row)
    assert faults[0] == "machine.yaml:1: permit: Field required"
    assert faults[1] == f"machine.yaml:{line}: sections.cm1.cells[0].correctors[0].plane: Field required"
    assert len(faults) == 2


def test_a_field_that_is_given_twice_is_a_fault(tmp_path):
    """YAML alone would keep the last one without a word."""
    text = TEXT.replace(
        "    limits: {lo: -74.0", "    limits: {lo: -740.0, hi: 740.0, unit: A, source: me}\n    limits: {lo: -74.0"
    )
    faults = faults_of(written(tmp_path, text))
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "limits: {lo: -74.0" in row)
    assert faults == (f"machine.yaml:{line}: types.corrector.limits: is given more than once",)


def test_a_current_monitor_may_stand_between_two_sections_but_is_no_other_pv(tmp_path):
    own = 'current_downstream: "HCM1_Diag:ACCT_01:IMon"'
    twice = TEXT.replace(own, 'current_downstream: "MEBT_Diag:ACCT_01:IMon"', 1)
    setpoint = TEXT.replace(own, 'current_downstream: "HCM1_PS:DCH_01:ISet"', 1)
    assert "sections.cm1.current_downstream" in faults_of(written(tmp_path, twice))[0]
    assert "already used by sections.cm1.current_downstream" in faults_of(written(tmp_path, setpoint))[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1: (file): must be a mapping"),
        ("# nothing but a comment\n", "1: (file): must be a mapping"),
        ("- a\n- b\n", "1: (file): must be a mapping"),
        ("42", "1: (file): must be a mapping"),
        ("name: x\nunits: [1\n", "3: (file): not readable YAML"),
        ("name: x\n\tunits: 1\n", "2: (file): not readable YAML"),
        ("a: 1\n---\nb: 2\n", "2: (file): not readable YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "1: (file): not readable YAML"),
        (b"\xff\xfe\x00", "1: (file): not readable YAML"),
        (b"a: \x00", "1: (file): not readable YAML"),
        ("a: &a [*a]\n", "(file): not readable YAML"),
        ("a: " + "[" * 600 + "]" * 600, "(file): not readable YAML"),
        ("? [a, b]\n: 1\n", "1: (file): not readable YAML"),
    ],
)
def test_what_is_no_description_at_all(tmp_path, text, words):
    faults = faults_of(written(tmp_path, text))
    assert len(faults) == 1
    assert f"machine.yaml:{words}" in faults[0] or words in faults[0]
    assert FAULT.match(faults[0])


def test_a_wrong_ion_reports_every_fault_too(tmp_path):
    text = "name: x\nmass: {value: -1, unit: kg, source: me}\nnucleons: 0\ncharge_state: 1.5\nspin: 1\n"
    faults = faults_of(written(tmp_path, text, "ion.yaml"), load_ion)
    assert [fault.split(": ")[:2] for fault in faults] == [
        [f"ion.yaml:{line}", field] for line, field in ((2, "mass"), (3, "nucleons"), (4, "charge_state"), (5, "spin"))
    ]


def test_what_cannot_be_opened_is_an_error_of_ours(tmp_path):
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    for name in (str(folder), str(tmp_path / "missing.yaml"), str(tmp_path / "notes.txt")):
        with pytest.raises(BeamControlError):
            load_machine(name)


def small_machine():
    """The shipped machine with one section of one cell, which is quick to read."""
    data = yaml.load(TEXT, yaml.CSafeLoader)
    data["sections"] = {"cm1": data["sections"]["cm1"]}
    data["sections"]["cm1"]["cells"] = data["sections"]["cm1"]["cells"][:1]
    task = data["tasks"]["cm1-orbit"]
    data["tasks"] = {"cm1-orbit": {**task, "correctors": task["correctors"][:2], "bpms": task["bpms"][:1]}}
    return data


def paths(node, path=()):
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


SMALL = small_machine()
JUNK = st.sampled_from([
    None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "x", "nan", "Bpm:6-X11", "DCH_01", "é\u2028",
    [], [[]], [None, 1], ["cm1"], {}, {"value": 1}, {"a": {"b": []}}, {1: 2}, datetime.date(2023, 5, 22), b"\x00",
])  # fmt: skip
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(list(paths(SMALL))), st.sampled_from(["delete", "replace", "rename"]), JUNK),
    min_size=1,
    max_size=3,
)


def mutate(data, path, operation, junk):
    """Change one node, if it is still there."""
    node = data
    for key in path[:-1]:
        if not isinstance(node, dict | list) or (isinstance(node, list) and key not in range(len(node))):
            return
        node = node.get(key) if isinstance(node, dict) else node[key]
    present = (
        path[-1] in (range(len(node)) if isinstance(node, list) else node) if isinstance(node, dict | list) else False
    )
    if not present:
        return
    if operation == "delete":
        del node[path[-1]]
    elif operation == "replace" or isinstance(node, list) or isinstance(junk, dict | list):
        node[path[-1]] = junk
    else:
        node[junk] = node.pop(path[-1])


def test_the_small_machine_is_sound(tmp_path):
    text = yaml.dump(SMALL, Dumper=yaml.CSafeDumper, sort_keys=False)
    assert load_machine(str(written(tmp_path, text))).sections.keys() == {"cm1"}


@settings(FIXED, max_examples=60)
@given(operations=OPERATIONS)
def test_whatever_is_wrong_has_a_line_and_a_field(tmp_path_factory, operations):
    data = copy.deepcopy(SMALL)
    for operation in operations:
        mutate(data, *operation)
    text = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    path = written(tmp_path_factory.getbasetemp(), text, "fuzz.yaml")
    faults = None
    try:
        load_machine(str(path))
    except MachineDescriptionError as error:
        faults = error.faults
    if faults is not None:
        places = [FAULT.match(fault) for fault in faults]
        assert places
        assert all(place and 1 <= int(place[1]) <= max(1, text.count("\n")) for place in places), faults


@settings(FIXED, max_examples=60)
@given(content=st.one_of(st.binary(max_size=60), st.text(st.characters(codec="utf-8"), max_size=60).map(str.encode)))
def test_any_bytes_are_refused_without_a_traceback(tmp_path_factory, content):
    path = written(tmp_path_factory.getbasetemp(), content, "bytes.yaml")
    assert all(FAULT.match(fault) for fault in faults_of(path))
