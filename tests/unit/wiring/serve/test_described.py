"""Tasks, sections and the beam line, as the service tells of them."""

import math
from itertools import pairwise

import pytest

from beamctl.machine.loader import known_ions
from beamctl.wiring.observer import observed_sections

SECTIONS = {
    "lpi-lebt": ["rfq-transmission", "rfq-transmission-fixed-orbit"],
    "cafe2-cm1": ["cm1-orbit"],
    "cafe2-cm2": ["cm2-orbit"],
    "cafe2-cm3": ["cm3-orbit"],
}


def test_every_section_with_its_tasks(place):
    assert {key: section.tasks for key, section in place.machines.sections.items()} == SECTIONS
    assert set(place.machines.tasks) == set(place.deployment.tasks)
    assert {task.section for task in place.machines.tasks.values()} == set(SECTIONS)
    assert place.machines.titles == [machine.title for machine in place.deployment.machines]


@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_is_what_is_observed(place, key):
    """The arrays of the readings are in the order of the description that clients see."""
    detail = place.machines.sections[key]
    layout = next(s.layout for s in observed_sections(place.deployment) if s.key == key)
    kit = place.deployment.kit(SECTIONS[key][0])
    assert [k.setpoint_pv for k in detail.knobs] == [k.setpoint for k in layout.knobs]
    assert [k.readback_pv for k in detail.knobs] == [k.readback for k in layout.knobs]
    assert [c.pv for c in detail.channels] == list(layout.channels)
    assert [c.name for c in detail.channels] == list(layout.channel_names)
    assert (detail.identity_pv, detail.permit_pv, detail.enable_pv, detail.heartbeat_pv, detail.current_pv) == (
        layout.identity, layout.permit, layout.enable, layout.heartbeat, layout.current,
    )  # fmt: skip
    assert detail.hash == kit.section_hash
    assert detail.title
    assert all(knob.lo < knob.hi and knob.step > 0 and knob.tolerance > 0 for knob in detail.knobs)
    assert all(knob.travel is None or math.isfinite(knob.travel) for knob in detail.knobs)


def test_an_orbit_section(place):
    detail = place.machines.sections["cafe2-cm1"]
    assert (detail.kind, detail.machine, detail.title) == ("orbit", "cafe2", "Cryomodule 1")
    assert [k.plane for k in detail.knobs] == ["x", "y"] * 5
    assert [(c.plane, c.unit, c.reference) for c in detail.channels] == [("x", "mm", 0.0), ("y", "mm", 0.0)] * 5
    assert [c.device for c in detail.channels[::2]] == [c.device for c in detail.channels[1::2]]
    assert all(a <= b for a, b in pairwise(k.s_m for k in detail.knobs))
    assert all(a <= b for a, b in pairwise(c.s_m for c in detail.channels))
    assert detail.knobs[0].s_m < detail.channels[0].s_m < 0.640 + 1e-9, "a corrector acts on the BPM behind it"


def test_an_injector_section(place):
    detail = place.machines.sections["lpi-lebt"]
    assert (detail.kind, detail.title) == ("transmission", "LEBT and RFQ")
    assert [(c.name, c.device, c.plane, c.unit, c.reference) for c in detail.channels] == [
        ("ACCT", "ACCT", "", "mA", None), ("MFC1", "MFC1", "", "mA", None),
    ]  # fmt: skip
    planes = {knob.name: knob.plane for knob in detail.knobs}
    assert planes == {"SOL_01": "", "SOL_02": "", "DCH_01": "x", "DCV_01": "y", "DCH_02": "x", "DCV_02": "y"}


def test_tasks(place):
    orbit, transmission = (place.machines.tasks[name] for name in ("cm1-orbit", "rfq-transmission"))
    assert (orbit.kind, orbit.target_unit, orbit.target) == ("orbit", "mm", 0.5)
    assert (transmission.kind, transmission.target_unit, transmission.target) == ("transmission", "T", 0.85)
    assert (orbit.knobs, transmission.knobs) == (10, 6)
    assert orbit.algorithms[0] == "tbsac"
    assert not {"preflight", "snapshot"} & {*orbit.algorithms, *transmission.algorithms}
    assert (orbit.agents, transmission.agents) == (["cafe2-orbit"], ["lpi-transmission"])


def test_goals(place):
    assert place.machines.goal("cm1-orbit", None) == "RMS below 0.5 mm"
    assert place.machines.goal("cm1-orbit", 0.25) == "RMS below 0.25 mm"
    assert place.machines.goal("rfq-transmission", None) == "transmission of 0.85"


def test_an_agent_that_is_switched_off_is_not_offered(place):
    place.store.switches.set("cafe2-orbit", False, "", "anna", None)
    assert [task.agents for task in place.machines.tasks.values() if task.kind == "orbit"] == [[]] * 3
    place.store.switches.set("cafe2-orbit", True, "", "anna", None)
    assert place.machines.tasks["cm1-orbit"].agents == ["cafe2-orbit"]


def test_the_beam_line_upstream_first(place):
    assert [(e.name, e.section) for e in place.machines.beamline] == [
        ("source", ""), ("lebt", "lpi-lebt"), ("rfq", ""), ("mebt", ""),
        ("cm1", "cafe2-cm1"), ("cm2", "cafe2-cm2"), ("cm3", "cafe2-cm3"),
    ]  # fmt: skip
    assert all(element.title for element in place.machines.beamline)


@pytest.mark.parametrize(
    ("machine", "sections", "stations"),
    [("cafe2", ["cafe2-cm1", "cafe2-cm2", "cafe2-cm3"], 3), ("lpi", ["lpi-lebt"], 4)],
)
def test_one_machine_only(make_place, machine, sections, stations):
    place = make_place(("nominal",), machine=(machine,))
    assert list(place.machines.sections) == sections
    assert len(place.machines.beamline) == stations
    assert place.machines.agents() != []
    assert list(place.machines.checked_sections) == (sections if machine == "cafe2" else [])


def test_a_prefix(make_place):
    place = make_place(prefix="T:")
    assert list(place.machines.sections) == [f"T:{key}" for key in SECTIONS]
    assert [e.section for e in place.machines.beamline if e.section] == [f"T:{key}" for key in SECTIONS]
    detail = place.machines.sections["T:cafe2-cm1"]
    pvs = [pv for knob in detail.knobs for pv in (knob.setpoint_pv, knob.readback_pv)]
    pvs += [c.pv for c in detail.channels]
    pvs += [detail.identity_pv, detail.permit_pv, detail.enable_pv, detail.heartbeat_pv, detail.current_pv]
    assert all(pv.startswith("T:") for pv in pvs)


@pytest.mark.parametrize("ion", [ion for ion in known_ions() if ion != "40Ar12+"])
def test_another_ion(place, make_place, ion):
    """Another hash and other optics; the same PVs."""
    other = make_place(ion=ion).machines
    for key in SECTIONS:
        ours, theirs = place.machines.sections[key], other.sections[key]
        assert (ours.hash == theirs.hash) == (key == "lpi-lebt")
        assert ours.knobs == theirs.knobs


def test_what_does_not_change_is_read_once(place):
    assert place.machines.sections is place.machines.sections
    kit = place.deployment.kit("cm1-orbit")
    assert place.deployment.kit("cm1-orbit") is kit
