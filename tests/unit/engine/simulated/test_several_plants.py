"""Several machines as one plant, and which scenario each runs in. Seed 3 throughout."""

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.simulated.engine import Faults, SimulatedEngine
from beamctl.engine.simulated.factory import make_plant
from beamctl.engine.simulated.injector_plant import InjectorPlant
from beamctl.engine.simulated.injector_scenarios import injector_scenarios
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.engine.simulated.scenario_choice import choose_scenarios, known_scenarios
from beamctl.engine.simulated.scenarios import scenarios
from beamctl.engine.simulated.whole_plant import WholePlant
from beamctl.errors import MachineDescriptionError, UnknownNameError
from beamctl.machine.loader import load_injector, load_ion, load_linac

LINAC, INJECTOR = load_linac("cafe2"), load_injector("lpi")
ION = load_ion(LINAC.ion)
CORRECTOR, SOLENOID = LINAC.sections["cm1"].correctors[0], INJECTOR.lebt.knobs[0]


def both():
    return make_plant([LINAC, INJECTOR], None, (), 3)


class TestFactory:
    def test_one_machine_is_its_own_plant(self):
        assert isinstance(make_plant([LINAC], None, (), 3), LinacPlant)
        assert isinstance(make_plant([INJECTOR], None, (), 3), InjectorPlant)

    def test_the_ion_runs_in_the_linac(self):
        own, protons = (make_plant([LINAC, INJECTOR], ion, (), 3) for ion in (None, load_ion("1H1+")))
        pv = LINAC.sections["cm1"].cells[0].solenoid.setpoint
        assert own.setpoint(pv) == LinacPlant(LINAC, (ION, ION), "err5", 3).setpoint(pv)
        assert protons.setpoint(pv) != own.setpoint(pv)
        assert protons.setpoint(SOLENOID.setpoint) == own.setpoint(SOLENOID.setpoint)


class TestWhole:
    def test_it_has_the_pvs_of_all(self):
        plants = [make_plant([machine], None, (), 3) for machine in (LINAC, INJECTOR)]
        whole = both()
        assert list(whole.channels) == [pv for plant in plants for pv in plant.channels]
        assert set(whole.shot()) == {pv for plant in plants for pv in plant.shot()}
        assert whole.rate_hz == max(plant.rate_hz for plant in plants)
        assert (whole.scenario, whole.seed) == ("cafe2=err5 lpi=nominal", 3)

    def test_each_machine_is_the_one_that_it_is_alone(self):
        whole = both()
        for machine in (LINAC, INJECTOR):
            alone = make_plant([machine], None, (), 3).shot()
            assert {pv: sample for pv, sample in both().shot().items() if pv in alone} == alone
            assert whole.setpoint(machine.identity.pv) == machine.identity.simulated
        assert whole.setpoint(LINAC.simulation.scenario) == "err5"
        assert whole.setpoint(INJECTOR.simulation.scenario) == "nominal"

    def test_permits_are_apart(self):
        whole = both()
        whole.put(INJECTOR.permit, 0.0)
        shot = whole.shot()
        assert shot[INJECTOR.source.monitor].value < 0.1
        assert shot[LINAC.sections["cm1"].current_upstream].value > 0.1
        assert (whole.setpoint(LINAC.permit), whole.setpoint(INJECTOR.permit)) == (1.0, 0.0)

    def test_seeds_are_apart(self):
        whole = both()
        before = {pv: whole.setpoint(pv) for pv in (CORRECTOR.setpoint, SOLENOID.setpoint)}
        whole.put(INJECTOR.simulation.seed, 4.0)
        assert whole.setpoint(CORRECTOR.setpoint) == before[CORRECTOR.setpoint]
        assert whole.setpoint(SOLENOID.setpoint) != before[SOLENOID.setpoint]
        assert (whole.setpoint(LINAC.simulation.seed), whole.setpoint(INJECTOR.simulation.seed)) == (3.0, 4.0)

    def test_supplies_of_both_ramp_together(self):
        whole = both()
        goals = {CORRECTOR.setpoint: 0.0, SOLENOID.setpoint: 320.0}
        for pv, goal in goals.items():
            assert whole.put(pv, goal) == goal
        assert all(whole.time_left(pv) > 0 and not whole.is_settled(pv) for pv in goals)
        whole.advance(30.0)
        assert all(whole.is_settled(pv) for pv in goals)
        assert whole.shot()[SOLENOID.readback].value == pytest.approx(320.0, abs=0.3)

    def test_jammed_supplies_find_their_machine(self):
        whole = both()
        whole.jam({CORRECTOR.setpoint, SOLENOID.setpoint})
        before = {pv: whole.shot()[pv].value for pv in (CORRECTOR.readback, SOLENOID.readback)}
        whole.put(CORRECTOR.setpoint, 70.0)
        whole.put(SOLENOID.setpoint, 320.0)
        whole.advance(30.0)
        after = whole.shot()
        assert all(after[pv].value == pytest.approx(value, abs=0.5) for pv, value in before.items())

    def test_what_is_given_twice_is_refused_with_its_name(self):
        with pytest.raises(MachineDescriptionError, match="machine 'lpi' is given 2 times"):
            WholePlant([InjectorPlant(INJECTOR, "ideal", seed) for seed in (1, 2)])

    def test_pvs_of_two_machines_are_refused_with_both(self):
        other = INJECTOR.model_copy(update={"name": "copy", "permit": "COPY:BeamPermit"})
        with pytest.raises(MachineDescriptionError) as caught:
            make_plant([LINAC, INJECTOR, other], None, (), 3)
        assert len(caught.value.faults) == 20
        assert f"PV {SOLENOID.setpoint!r} belongs to lpi and to copy" in caught.value.faults


class TestEngine:
    def test_it_reads_and_moves_both_machines(self):
        engine = SimulatedEngine(both())
        pvs = [CORRECTOR.setpoint, SOLENOID.setpoint, SOLENOID.readback, INJECTOR.monitors.mfc1, LINAC.heartbeat.pv]
        engine.start(pvs)
        results = engine.write({CORRECTOR.setpoint: 5.0, SOLENOID.setpoint: 200.0})
        assert {result.outcome for result in results.values()} == {Outcome.OK}
        assert engine.read([SOLENOID.readback])[SOLENOID.readback].number == pytest.approx(200.0, abs=0.3)
        seen = engine.wait([INJECTOR.monitors.mfc1], {INJECTOR.monitors.mfc1: 0}, 3, 5.0)
        assert all(reading.is_valid for reading in seen[INJECTOR.monitors.mfc1])

    @pytest.mark.parametrize("knob", [CORRECTOR, SOLENOID], ids=lambda knob: knob.name)
    def test_a_jammed_supply_completes_its_put_and_does_not_follow(self, knob):
        faults = Faults()
        engine = SimulatedEngine(both(), faults)
        engine.start([knob.setpoint, knob.readback])
        before = engine.read([knob.readback])[knob.readback].number
        faults.jammed.add(knob.setpoint)
        asked = before + 20.0
        result = engine.write({knob.setpoint: asked})[knob.setpoint]
        assert (result.outcome, result.held) == (Outcome.OK, asked)
        engine.clock.sleep(20.0)
        assert engine.read([knob.setpoint])[knob.setpoint].number == asked
        assert engine.read([knob.readback])[knob.readback].number == pytest.approx(before, abs=0.5)
        faults.jammed.clear()
        engine.clock.sleep(20.0)
        assert engine.read([knob.readback])[knob.readback].number == pytest.approx(asked, abs=0.5)


class TestScenarioChoice:
    MACHINES = (LINAC, INJECTOR)

    @pytest.mark.parametrize(
        ("asked", "linac", "injector"),
        [
            ([], "err5", "nominal"),
            (["ideal"], "ideal", "ideal"),
            (["dead"], "dead", "nominal"),
            (["shifted"], "err5", "shifted"),
            (["dead", "dark"], "dead", "dark"),
            (["lpi=dark"], "err5", "dark"),
            (["lpi=dark", "ideal"], "ideal", "dark"),
            (["cafe2=weak", "lpi=reversed"], "weak", "reversed"),
        ],
    )
    def test_each_machine_gets_its_own(self, asked, linac, injector):
        assert choose_scenarios(self.MACHINES, asked) == {"cafe2": linac, "lpi": injector}

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ("bad", r"unknown scenario 'bad'; known: crossed, dark, .*shifted"),
            ("lpi=err5", r"unknown scenario of lpi 'err5'; known: dark, ideal, nominal"),
            ("cafe2=shifted", r"unknown scenario of cafe2 'shifted'; known: crossed, dead"),
            ("cafe3=err5", r"unknown machine 'cafe3'; known: cafe2, lpi"),
        ],
    )
    def test_what_nobody_knows_is_refused_with_what_they_do(self, asked, message):
        with pytest.raises(UnknownNameError, match=message):
            choose_scenarios(self.MACHINES, [asked])

    def test_what_only_absent_machines_know_is_refused(self):
        with pytest.raises(UnknownNameError, match="err5"):
            choose_scenarios([INJECTOR], ["err5"])

    def test_known_scenarios_are_those_of_the_kind(self):
        assert set(known_scenarios(LINAC)) == set(scenarios(LINAC))
        assert set(known_scenarios(INJECTOR)) == set(injector_scenarios(INJECTOR))
