"""The injector behind Channel Access, alone and in one IOC with a linac, through libca and through caproto."""

import statistics

import pytest

from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.engine.simulated.factory import make_plant
from beamctl.machine.loader import load_injector, load_linac

pytestmark = pytest.mark.system

LINAC, INJECTOR = load_linac("cafe2"), load_injector("lpi")
KNOBS, MONITORS = INJECTOR.lebt.knobs, INJECTOR.monitors
SOLENOID = KNOBS[0]
SOURCE, ACCT, MFC1 = INJECTOR.source.monitor, MONITORS.acct, MONITORS.mfc1
PVS = {machine.name: len(machine_channels(machine)) for machine in (LINAC, INJECTOR)}
ALONE, BESIDE = ("--machine", "lpi"), ("--machine", "cafe2", "--machine", "lpi")
SEED = 7


@pytest.fixture(scope="module", params=[ALONE, BESIDE], ids=["alone", "beside a linac"])
def soft_ioc(request, start_soft_ioc):
    ioc = start_soft_ioc(*request.param, "--seed", str(SEED), "--speed", "4")
    yield ioc
    ioc.process.close()


@pytest.fixture
def value(soft_ioc, client):
    return lambda pv: client.read(soft_ioc.name(pv))[0]


@pytest.fixture
def redraw(soft_ioc, put):
    """Make it the machine of a seed, with every supply at its start; the next test finds the first machine."""
    yield lambda seed=SEED: put(soft_ioc.name(INJECTOR.simulation.seed), seed)
    put(soft_ioc.name(INJECTOR.simulation.seed), SEED)


@pytest.fixture
def currents(soft_ioc, watch):
    """Medians of five readings of source, ACCT and MFC1, mA."""

    def measure():
        watched = watch(*(soft_ioc.name(pv) for pv in (SOURCE, ACCT, MFC1)))
        return [statistics.median(updates.wait_for_more(5)) for updates in watched]

    return measure


def test_it_says_what_it_is(value, soft_ioc):
    assert value(INJECTOR.identity.pv) == "LPI-SIMULATED"
    assert value(INJECTOR.simulation.scenario) == "nominal"
    assert value(INJECTOR.simulation.seed) == soft_ioc.ready["seed"] == SEED
    is_alone = soft_ioc.ready["pvs"] == PVS["lpi"] == 21
    assert is_alone or soft_ioc.ready["pvs"] == sum(PVS.values()) == 205
    assert soft_ioc.ready["scenario"] == ("nominal" if is_alone else "cafe2=err5 lpi=nominal")


def test_units_precision_and_limits_are_the_descriptions(client, soft_ioc, value):
    for knob in KNOBS:
        setpoint = client.control(soft_ioc.name(knob.setpoint))
        assert (setpoint["units"], setpoint["precision"]) == ("A", 3)
        assert (setpoint["lower_ctrl_limit"], setpoint["upper_ctrl_limit"]) == (knob.limits.lo, knob.limits.hi)
    assert client.control(soft_ioc.name(MFC1))["units"] == "mA"
    fields = {"RTYP": "ao", "DRVL": 100.0, "DRVH": 320.0, "EGU": "A", "PREC": 3}
    assert {field: value(f"{SOLENOID.setpoint}.{field}") for field in fields} == fields
    assert value(f"{MFC1}.DESC") == "Beam current behind the RFQ"
    assert not client.is_writable(soft_ioc.name(MFC1))


def test_it_is_the_machine_of_its_seed(redraw, value, currents):
    redraw()
    plant = make_plant([INJECTOR], None, (), SEED)
    assert [value(knob.setpoint) for knob in KNOBS] == [plant.setpoint(knob.setpoint) for knob in KNOBS]
    assert currents() == pytest.approx(plant.true_ma().tolist(), abs=0.06)
    redraw(SEED + 1)
    assert value(SOLENOID.setpoint) != plant.setpoint(SOLENOID.setpoint)


def test_knobs_move_the_currents(redraw, put, soft_ioc, value, currents):
    redraw()
    for knob in KNOBS:
        put(soft_ioc.name(knob.setpoint), knob.design)
    plant = make_plant([INJECTOR], None, (), SEED)
    for knob in KNOBS:
        plant.put(knob.setpoint, knob.design)
    plant.advance(100.0)
    assert plant.true_ma()[2] > 0.5
    assert currents() == pytest.approx(plant.true_ma().tolist(), abs=0.06)
    for knob in KNOBS:
        assert value(knob.readback) == pytest.approx(knob.design, abs=INJECTOR.lebt.supply.tolerance.value)


def test_a_put_ends_after_its_ramp(client, soft_ioc, redraw, watch, put, value):
    redraw()
    put(soft_ioc.name(SOLENOID.setpoint), 120.0)
    readbacks = watch(soft_ioc.name(SOLENOID.readback))
    end = client.begin_put(soft_ioc.name(SOLENOID.setpoint), 300.0)
    readbacks.wait_for(lambda values: any(140.0 < v < 280.0 for v in values))
    assert not end.is_set(), "the put ended in the middle of the ramp"
    assert value(SOLENOID.setpoint) == 300.0
    assert end.wait(60.0)
    assert readbacks.wait_for_more(2)[-1] == pytest.approx(300.0, abs=INJECTOR.lebt.supply.tolerance.value)
    put(soft_ioc.name(SOLENOID.setpoint), 500.0)
    assert value(SOLENOID.setpoint) == 320.0


def test_without_permit_there_is_no_beam(redraw, put, soft_ioc, currents, value):
    redraw()
    put(soft_ioc.name(INJECTOR.permit), 0)
    assert max(map(abs, currents())) < MONITORS.beam_floor.value
    put(soft_ioc.name(INJECTOR.permit), 1)
    assert currents()[0] > INJECTOR.source.current_floor.value


@pytest.fixture(scope="module")
def both(start_soft_ioc):
    scenarios = ("--scenario", "dead", "--scenario", "lpi=dark")
    ioc = start_soft_ioc(*BESIDE, *scenarios, "--seed", str(SEED), "--speed", "4")
    yield ioc
    ioc.process.close()


def test_machines_in_one_ioc_have_permit_seed_and_scenario_of_their_own(both, client, put, watch):
    def value(pv):
        return client.read(both.name(pv))[0]

    linac_start = [value(c.setpoint) for c in LINAC.sections["cm1"].correctors]
    assert both.ready["scenario"] == "cafe2=dead lpi=dark"
    assert (value(LINAC.simulation.scenario), value(INJECTOR.simulation.scenario)) == ("dead", "dark")
    assert (value(LINAC.identity.pv), value(INJECTOR.identity.pv)) == ("CAFE2-SIMULATED", "LPI-SIMULATED")
    put(both.name(LINAC.permit), 0)
    put(both.name(INJECTOR.simulation.seed), SEED + 1)
    heartbeats = watch(both.name(LINAC.heartbeat.pv), both.name(INJECTOR.heartbeat.pv))
    for beats in (updates.wait_for_more(4) for updates in heartbeats):
        assert beats == list(range(beats[0], beats[0] + 4))
    assert (value(LINAC.permit), value(INJECTOR.permit)) == ("no beam", "beam allowed")
    assert (value(LINAC.simulation.seed), value(INJECTOR.simulation.seed)) == (SEED, SEED + 1)
    assert value(SOURCE) > INJECTOR.source.current_floor.value
    assert [value(c.setpoint) for c in LINAC.sections["cm1"].correctors] == linac_start
    put(both.name(LINAC.permit), 1)
    put(both.name(INJECTOR.simulation.seed), SEED)


def test_both_machines_move(both, client, put, watch):
    for channel in (LINAC.sections["cm1"].correctors[0], SOLENOID):
        asked = client.read(both.name(channel.setpoint))[0] + 5.0
        put(both.name(channel.setpoint), asked)
        watch(both.name(channel.readback)).wait_for_more(2)
        assert client.read(both.name(channel.readback))[0] == pytest.approx(asked, abs=0.4)


def test_every_setpoint_of_both_is_served(both, client):
    for machine in (LINAC, INJECTOR):
        for channel in machine_channels(machine):
            if channel.role is Role.SETPOINT:
                assert client.is_writable(both.name(channel.pv))
