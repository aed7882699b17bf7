"""Which PVs there are, what they show of a board, and how loud they are; no network."""

import asyncio
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from beamctl.engine.base import Severity
from beamctl.status.board import StatusBoard
from beamctl.status.publisher import Publisher
from beamctl.status.pvs import STATES, TunedSection, severity_of, status_pvs
from beamctl.store.states import RunState

ROOT = Path(__file__).parents[3]
SECTIONS = [TunedSection("cafe2-cm1", "orbit RMS", "mm"), TunedSection("lpi-lebt", "MFC1 current", "mA")]
PVS = status_pvs(SECTIONS, "P:", "1.2.3")
NAMES = {pv.definition.name for pv in PVS}
SERVICE = {"Heartbeat", "Version", "Ready", "PermitToAct", "Halt", "RunsActive"}
SECTION = {
    "State", "Reason", "ReasonShort", "Run", "Step", "MaxSteps", "Progress", "Objective", "Best", "RestoreOwed", "User"
}  # fmt: skip
CM1 = "P:cafe2-cm1:"


@pytest.fixture
def board():
    return StatusBoard()


@pytest.fixture
def show(board):
    """The records after everything was published."""
    publisher = Publisher(board, PVS, "P:Heartbeat")

    def show():
        asyncio.run(publisher.publish())
        return publisher.records

    return show


def test_the_names():
    assert {f"P:{name}" for name in SERVICE} | {f"P:{s.name}:{name}" for s in SECTIONS for name in SECTION} == NAMES


def test_every_description_fits_into_a_database():
    assert max(len(pv.definition.description) for pv in PVS) <= 40
    assert all(len(state) <= 25 for pv in PVS for state in pv.definition.states)


def test_the_numbers_of_the_states_are_for_ever():
    assert [str(state) for state in STATES] == [
        "idle", "armed", "running", "hold", "review", "accepted", "restoring", "restored", "unknown", "conflict",
        "halted", "fault", "recovering",
    ]  # fmt: skip
    assert set(STATES) == set(RunState)


@pytest.mark.parametrize(
    ("severity", "states"),
    [
        (Severity.NO_ALARM, {"idle", "armed", "running", "accepted", "restored"}),
        (Severity.MINOR, {"hold", "review", "restoring", "recovering"}),
        (Severity.MAJOR, {"conflict", "halted", "unknown", "fault"}),
    ],
)
def test_severities(board, show, severity, states):
    assert {state for state in RunState if severity_of(state) is severity} == states
    for state in states:
        board.section("cafe2-cm1").update(state=RunState(state))
        record = show()[f"{CM1}State"]
        assert (record.value, record.alarm.severity) == (state, severity)


def test_only_halt_may_be_put():
    assert {pv.definition.name for pv in PVS if pv.definition.writable} == {"P:Halt"}


def test_a_board_is_shown(board, show):
    board.service(ready=True, permit_to_act=True, halt=True, runs_active=2)
    board.section("cafe2-cm1").update(
        state=RunState.HOLD, reason="BPM 3 frozen", run=7, step=3, max_steps=12, objective=0.71, best=0.5,
        restore_owed=True, user="anna",
    )  # fmt: skip
    records = show()
    values = {name.removeprefix(CM1): record.value for name, record in records.items() if name.startswith(CM1)}
    assert values == {
        "State": "hold", "Reason": "BPM 3 frozen\0", "ReasonShort": "BPM 3 frozen", "Run": 7, "Step": 3,
        "MaxSteps": 12, "Progress": 25.0, "Objective": 0.71, "Best": 0.5, "RestoreOwed": "restore owed",
        "User": "anna",
    }  # fmt: skip
    assert records["P:Version"].value == "1.2.3"
    assert [records[f"P:{name}"].value for name in ("Ready", "PermitToAct", "Halt", "RunsActive")] == [
        "ready", "may act", "halt", 2
    ]  # fmt: skip
    assert records[f"{CM1}RestoreOwed"].alarm.severity == records["P:Halt"].alarm.severity == Severity.MAJOR
    assert records["P:lpi-lebt:Objective"].units == "mA"
    assert records["P:lpi-lebt:State"].value == "idle"


def test_what_has_not_been_measured_is_invalid(board, show):
    assert show()[f"{CM1}Objective"].alarm.severity == Severity.INVALID
    board.section("cafe2-cm1").update(objective=0.5)
    assert show()[f"{CM1}Objective"].alarm.severity == Severity.NO_ALARM
    board.section("cafe2-cm1").update(objective=math.nan)
    assert show()[f"{CM1}Objective"].alarm.severity == Severity.INVALID


@pytest.mark.parametrize("text", ["x" * 1000, "\N{GREEK SMALL LETTER MU}" * 500, "a" + "\N{EURO SIGN}" * 300])
def test_long_texts_are_cut_between_characters(board, show, text):
    board.section("cafe2-cm1").update(reason=text, user=text)
    records = show()
    for name, size in (("Reason", 400), ("ReasonShort", 40), ("User", 40)):
        shown = records[CM1 + name].value.rstrip("\0")
        assert size - 4 <= len(shown.encode()) < size
        assert shown.endswith("...")
        assert text.startswith(shown.removesuffix("..."))


def test_a_value_that_cannot_be_shown_does_not_take_the_others_away(board, show, caplog):
    board.section("cafe2-cm1").update(run="seven", step=2)
    assert show()[f"{CM1}Step"].value == 2
    assert f"{CM1}Run cannot be shown" in caplog.text
    board.section("cafe2-cm1").update(run=2**40)
    assert show()[f"{CM1}Run"].value == 2**31 - 1


def test_states_have_the_fields_of_an_mbbi():
    state = Publisher(StatusBoard(), PVS, "P:Heartbeat").records[f"{CM1}State"]
    fields = [state.get_field(name).value for name in ("RTYP", "ZRST", "ZRSV", "THST", "THSV", "TVST", "TVSV")]
    assert fields == ["mbbi", "idle", "NO_ALARM", "hold", "MINOR", "recovering", "MINOR"]
    halt = Publisher(StatusBoard(), PVS, "P:Heartbeat").records["P:Halt"]
    assert [halt.get_field(name).value for name in ("RTYP", "ONAM", "OSV")] == ["bo", "halt", "MAJOR"]


def panel_pvs(path):
    tree = ElementTree.parse(path)
    macros = {"P": "P:", "SECTION": "cafe2-cm1"}
    for node in tree.iter("pv_name"):
        name = node.text or ""
        if name == "$(pv_name)":  # of the button that the action belongs to
            continue
        for macro, value in macros.items():
            name = name.replace(f"$({macro})", value)
        yield name


def test_the_panels_name_pvs_that_exist():
    panels = sorted((ROOT / "deploy/phoebus").glob("*.bob"))
    assert panels
    for panel in panels:
        named = set(panel_pvs(panel))
        assert named, panel
        assert named <= NAMES, panel


def test_the_alarm_tree_names_pvs_that_exist():
    tree = ElementTree.parse(ROOT / "deploy/epics/alarms.xml")
    named = {node.get("name", "").removeprefix("ca://").replace("BEAMCTL:", "P:") for node in tree.iter("pv")}
    assert {"P:Heartbeat", "P:Halt", f"{CM1}State", f"{CM1}RestoreOwed", "P:lpi-lebt:State"} <= named
    known = {name.replace("cafe2-cm1", f"cafe2-cm{i}") for name in NAMES for i in (1, 2, 3)}
    assert named <= known
