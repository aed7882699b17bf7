"""The soft IOC as clients see it, through libca and through caproto."""

import math
import statistics

import pytest

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.machine.loader import load_machine

pytestmark = pytest.mark.system

MACHINE = load_machine("cafe2")
CHANNELS = {channel.pv: channel for channel in machine_channels(MACHINE)}
SETPOINT, READBACK = "HCM1_PS:DCH_01:ISet", "HCM1_PS:DCH_01:IMon"
TOLERANCE = MACHINE.types.corrector.tolerance.value
BPMS = [pv for pv, c in CHANNELS.items() if c.role is Role.BPM and c.section == "cm1"]
DOWNSTREAM = MACHINE.sections["cm1"].current_downstream
PERMIT, SEED, HEARTBEAT = MACHINE.permit, MACHINE.simulation.seed, MACHINE.heartbeat.pv


@pytest.fixture
def redraw(soft_ioc, put):
    """Make it the machine of a seed, with every supply at its start."""
    return lambda seed=7: put(soft_ioc.name(SEED), seed)


@pytest.fixture
def value(soft_ioc, client):
    return lambda pv: client.read(soft_ioc.name(pv))[0]


@pytest.fixture
def orbit(soft_ioc, watch):
    """The median of five readings at each BPM; noise is below 0.1 mm, and glitches are isolated."""

    def measure():
        watched = watch(*(soft_ioc.name(pv) for pv in BPMS))
        return [statistics.median(updates.wait_for_more(5)) for updates in watched]

    return measure


def distance(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def test_it_says_that_it_is_simulated(value, soft_ioc):
    assert value(MACHINE.identity.pv) == "CAFE2-SIMULATED"
    assert value(MACHINE.simulation.scenario) == "err5" == soft_ioc.ready["scenario"]
    assert soft_ioc.ready["pvs"] == len(CHANNELS)


def test_units_precision_and_limits_are_the_descriptions(client, soft_ioc):
    setpoint = client.control(soft_ioc.name(SETPOINT))
    assert (setpoint["units"], setpoint["precision"]) == ("A", 3)
    assert (setpoint["lower_ctrl_limit"], setpoint["upper_ctrl_limit"]) == (-74.0, 74.0)
    bpm = client.control(soft_ioc.name(BPMS[0]))
    assert (bpm["units"], bpm["precision"]) == ("mm", 4)
    assert (bpm["lower_ctrl_limit"], bpm["upper_ctrl_limit"]) == (0.0, 0.0)
    assert (bpm["lower_disp_limit"], bpm["upper_disp_limit"]) == (-15.0, 15.0)
    assert (bpm["lower_alarm_limit"], bpm["lower_warning_limit"]) == (-10.0, -5.0)
    assert (bpm["upper_warning_limit"], bpm["upper_alarm_limit"]) == (5.0, 10.0)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (f"{SETPOINT}.RTYP", "ao"),
        (f"{SETPOINT}.DRVH", 74.0),
        (f"{SETPOINT}.DRVL", -74.0),
        (f"{SETPOINT}.EGU", "A"),
        (f"{SETPOINT}.PREC", 3),
        (f"{SETPOINT}.DESC", CHANNELS[SETPOINT].description),
        (f"{BPMS[0]}.RTYP", "ai"),
        (f"{BPMS[0]}.HIHI", 10.0),
        (f"{BPMS[0]}.HHSV", "MAJOR"),
        (f"{PERMIT}.RTYP", "bo"),
        (f"{HEARTBEAT}.RTYP", "longin"),
        (f"{SEED}.RTYP", "longout"),
        (f"{MACHINE.identity.pv}.RTYP", "stringin"),
    ],
)
def test_fields_read_as_those_of_a_database(value, field, expected):
    assert value(field) == expected


def test_only_setpoints_permit_and_seed_may_be_put(client, soft_ioc):
    for pv in (SETPOINT, PERMIT, SEED):
        assert client.is_writable(soft_ioc.name(pv))
    for pv in (READBACK, BPMS[0], DOWNSTREAM, HEARTBEAT, MACHINE.identity.pv, f"{SETPOINT}.DRVH"):
        assert not client.is_writable(soft_ioc.name(pv))


def test_a_put_ends_after_its_ramp(client, soft_ioc, redraw, watch, value):
    redraw()
    setpoints, readbacks = watch(soft_ioc.name(SETPOINT)), watch(soft_ioc.name(READBACK))
    end = client.begin_put(soft_ioc.name(SETPOINT), 40.0)
    setpoints.wait_for(lambda values: values[-1] == 40.0)
    readbacks.wait_for(lambda values: any(10.0 < v < 30.0 for v in values))
    assert not end.is_set(), "the put ended in the middle of the ramp"
    assert value(SETPOINT) == 40.0
    assert end.wait(60.0)
    arrived = readbacks.wait_for_more(2)[-1]
    assert arrived == pytest.approx(40.0, abs=TOLERANCE)


def test_a_put_of_the_same_value_ends(redraw, put, soft_ioc, value):
    redraw()
    for _ in range(3):
        put(soft_ioc.name(SETPOINT), value(SETPOINT))


@pytest.mark.parametrize(("asked", "held"), [(500.0, 74.0), (-500.0, -74.0)])
def test_a_put_beyond_the_limits_succeeds_and_is_clamped(redraw, put, soft_ioc, value, asked, held):
    redraw()
    put(soft_ioc.name(SETPOINT), asked)
    assert value(SETPOINT) == held


def test_a_put_of_nan_is_refused_and_changes_nothing(redraw, client, soft_ioc, value):
    redraw()
    held = value(SETPOINT)
    assert client.is_put_refused(soft_ioc.name(SETPOINT), math.nan)
    assert client.read(soft_ioc.name(SETPOINT)) == (held, Severity.NO_ALARM)


def test_the_heartbeat_counts(soft_ioc, watch):
    beats = watch(soft_ioc.name(HEARTBEAT)).wait_for_more(5)
    assert beats == list(range(beats[0], beats[0] + 5))


def test_the_seed_makes_the_machine(redraw, orbit, value):
    redraw(7)
    first, start = orbit(), value(SETPOINT)
    redraw(8)
    other = orbit()
    assert distance(first, other) > 1.0
    assert value(SETPOINT) != start
    assert value(SEED) == 8
    redraw(7)
    assert distance(first, orbit()) < 0.5
    assert value(SETPOINT) == start


def test_a_solenoid_moves_the_orbit(redraw, put, orbit, soft_ioc, value):
    redraw()
    before, setpoint = orbit(), "HCM1_PS:SOL_01:ISet"
    put(soft_ioc.name(setpoint), value(setpoint) - 8.0)
    assert distance(before, orbit()) > 0.3


def test_a_corrector_moves_its_own_plane(redraw, put, orbit, soft_ioc):
    redraw()
    before = orbit()
    put(soft_ioc.name(SETPOINT), 30.0)
    assert distance(before, orbit()) > 0.3


def test_without_permit_there_is_no_beam(put, client, soft_ioc, watch, redraw, value):
    redraw()
    put(soft_ioc.name(PERMIT), 0)
    watch(soft_ioc.name(HEARTBEAT)).wait_for_more(2)
    assert value(PERMIT) == "no beam"
    assert {client.read(soft_ioc.name(pv))[1] for pv in BPMS} == {Severity.INVALID}
    assert value(DOWNSTREAM) < MACHINE.types.current_monitor.beam_floor.value
    assert value(f"{BPMS[0]}.SEVR") == "INVALID"
    put(soft_ioc.name(PERMIT), 1)
    watch(soft_ioc.name(HEARTBEAT)).wait_for_more(2)
    assert value(PERMIT) == "beam allowed"
    assert Severity.INVALID not in {client.read(soft_ioc.name(pv))[1] for pv in BPMS}
    assert value(DOWNSTREAM) > MACHINE.types.current_monitor.beam_floor.value
