"""The simulated machine as its control system sees it: ramps, clamps, permit, alarms, seeds."""

import itertools
import math

import numpy as np
import pytest

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.engine.simulated.lattice import solenoid_current_a
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.engine.simulated.scenarios import find_scenario, scenarios
from beamctl.errors import UnknownNameError
from beamctl.machine.loader import load_ion, load_machine

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
CM1 = MACHINE.sections["cm1"]
CORRECTOR, READBACK = CM1.correctors[0].setpoint, CM1.correctors[0].readback
SOLENOID, CAVITY, PHASE = (
    CM1.cells[0].solenoid.setpoint,
    CM1.cells[0].cavity.amplitude_setpoint,
    CM1.cells[0].cavity.phase_setpoint,
)
BPMS = [pv for section in MACHINE.sections.values() for b in section.bpms for pv in (b.x, b.y)]


def make_plant(scenario="published", seed=1):
    return LinacPlant(MACHINE, (ION, ION), scenario, seed)


def actual(plant, section="cm1"):
    return {device: ramp.actual.copy() for device, ramp in plant.sections[section].ramps.items()}


class TestSupplies:
    def test_a_corrector_ramps_at_its_slew_rate(self):
        plant = make_plant()
        plant.put(CORRECTOR, 15.0)
        ramp = next(iter(plant.sections["cm1"].ramps.values()))
        for seconds, current in [(0.0, 0.0), (0.5, 5.0), (0.25, 7.5), (0.7, 14.5), (0.7, 15.0), (1.0, 15.0)]:
            plant.advance(seconds)
            assert ramp.actual[0] == pytest.approx(current)
            assert plant.time_left(CORRECTOR) == pytest.approx((15.0 - current) / 10.0)
            assert plant.is_settled(CORRECTOR) == (current == 15.0)
        assert plant.setpoint(CORRECTOR) == 15.0
        assert not ramp.actual[1:].any()

    def test_a_ramp_may_turn_round(self):
        plant = make_plant()
        plant.put(CORRECTOR, 15.0)
        plant.advance(1.0)
        plant.put(CORRECTOR, 5.0)
        plant.advance(0.3)
        assert next(iter(plant.sections["cm1"].ramps.values())).actual[0] == pytest.approx(7.0)

    def test_a_superconducting_coil_is_slow_and_a_resonator_is_not(self):
        plant = make_plant()
        start = plant.setpoint(SOLENOID)
        assert start == pytest.approx(0.81 * 228)
        plant.put(SOLENOID, start + 5.0)
        plant.put(CAVITY, 0.5)
        plant.advance(2.0)
        assert plant.time_left(SOLENOID) == pytest.approx(3.0)
        assert plant.is_settled(CAVITY)

    def test_the_orbit_follows_correctors_solenoids_and_resonators(self):
        plant = make_plant()
        section, orbits = plant.sections["cm1"], [plant.sections["cm1"].true_orbit_mm()]
        for pv, change in ((CORRECTOR, 10.0), (SOLENOID, -5.0), (CAVITY, -0.1), (PHASE, 10.0)):
            plant.put(pv, plant.setpoint(pv) + change)
            plant.advance(10.0)
            orbits.append(section.true_orbit_mm())
        moves = [float(np.abs(b - a).max()) for a, b in itertools.pairwise(orbits)]
        assert min(moves) > 1e-3

    def test_described_settings_are_found_at_the_start(self):
        plant = make_plant("ideal")
        optics_a = solenoid_current_a(MACHINE, np.array([8.3 * c.solenoid.setting for c in CM1.cells]))
        held = [plant.setpoint(c.solenoid.setpoint) for c in CM1.cells]
        np.testing.assert_allclose(held, optics_a)
        assert [plant.setpoint(c.cavity.phase_setpoint) for c in CM1.cells] == pytest.approx([-45, -26, -30, -30, -30])
        assert not any(plant.setpoint(c.setpoint) for c in CM1.correctors)

    @pytest.mark.parametrize(("pv", "lo", "hi"), [(CORRECTOR, -74, 74), (SOLENOID, -275, 275), (CAVITY, 0, 1.2)])
    def test_a_put_is_clamped_like_a_records(self, pv, lo, hi):
        plant = make_plant()
        assert plant.put(pv, 1e6) == plant.setpoint(pv) == hi
        assert plant.put(pv, -1e6) == plant.setpoint(pv) == lo
        assert plant.put(pv, 0.5) == 0.5

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("pv", [CORRECTOR, MACHINE.permit, MACHINE.simulation.seed])
    def test_what_is_not_finite_is_refused_and_changes_nothing(self, pv, value):
        plant = make_plant()
        before = plant.setpoint(pv)
        with pytest.raises(ValueError, match="not a finite number"):
            plant.put(pv, value)
        assert plant.setpoint(pv) == before

    @pytest.mark.parametrize("pv", [READBACK, BPMS[0], MACHINE.heartbeat.pv, MACHINE.identity.pv])
    def test_readings_cannot_be_put(self, pv):
        with pytest.raises(ValueError, match="read-only"):
            make_plant().put(pv, 1.0)

    def test_readbacks_stay_within_tolerance_of_what_the_supply_does(self):
        plant = make_plant("err5", seed=3)
        shots = [plant.shot() for _ in range(200)]
        for corrector in CM1.correctors:
            off = np.array([s[corrector.readback].value for s in shots]) - plant.setpoint(corrector.setpoint)
            assert np.abs(off).max() < MACHINE.types.corrector.tolerance.value
            assert off.std() > 0


class TestPermit:
    def test_without_permit_there_is_no_beam_and_no_bpm(self):
        plant = make_plant()
        assert plant.put(MACHINE.permit, 0.0) == 0.0
        shot = plant.shot()
        assert {shot[pv].severity for pv in BPMS} == {Severity.INVALID}
        assert all(math.isfinite(shot[pv].value) for pv in BPMS)
        currents = [s.current_upstream for s in MACHINE.sections.values()] + [
            MACHINE.sections["cm3"].current_downstream
        ]
        assert all(shot[pv].value < MACHINE.types.current_monitor.beam_floor.value for pv in currents)

    def test_the_beam_comes_back_with_the_permit(self):
        plant = make_plant()
        plant.put(MACHINE.permit, 0.0)
        plant.put(MACHINE.permit, 1.0)
        shot = plant.shot()
        assert Severity.INVALID not in {shot[b.x].severity for b in CM1.bpms}
        assert shot[CM1.current_upstream].value == pytest.approx(MACHINE.beam.current.value, abs=0.1)

    def test_supplies_ramp_without_permit(self):
        plant = make_plant()
        plant.put(MACHINE.permit, 0.0)
        plant.put(CORRECTOR, 5.0)
        plant.advance(1.0)
        assert plant.is_settled(CORRECTOR)

    def test_a_beam_that_is_lost_upstream_is_missing_downstream(self):
        plant = make_plant()
        last_bpm = plant.sections["cm1"].orbits.response_m_per_a[0, -1]
        for corrector, response in zip(CM1.correctors, last_bpm, strict=True):
            plant.put(corrector.setpoint, 74.0 if response > 0 else -74.0)
        plant.advance(10.0)
        shot = plant.shot()
        assert shot[CM1.current_upstream].value > 1.0
        assert shot[CM1.current_downstream].value < 1.0
        assert {shot[b.x].severity for b in MACHINE.sections["cm3"].bpms} == {Severity.INVALID}


class TestReadings:
    def test_alarms_follow_the_size_of_the_reading(self):
        plant = make_plant()
        for current in np.linspace(0, 74, 30):
            plant.put(CORRECTOR, float(current))
            plant.advance(10.0)
            for pv, sample in plant.shot().items():
                if pv in BPMS and sample.severity is not Severity.INVALID:
                    size = abs(sample.value)
                    expected = Severity.MAJOR if size >= 10 else Severity.MINOR if size >= 5 else Severity.NO_ALARM
                    assert sample.severity is expected

    def test_the_heartbeat_counts(self):
        plant = make_plant()
        beats = [plant.shot()[MACHINE.heartbeat.pv].value for _ in range(3)]
        assert np.diff(beats).tolist() == [1.0, 1.0]

    @pytest.mark.parametrize("scenario", ["ideal", "published", "published5"])
    def test_published_scenarios_have_no_noise(self, scenario):
        plant = make_plant(scenario)
        first = plant.shot()
        plant.advance(3600.0)
        second = plant.shot()
        true = plant.sections["cm1"].true_orbit_mm()
        for i, pv in enumerate(pv for b in CM1.bpms for pv in (b.x, b.y)):
            assert first[pv].value == second[pv].value == true[i]

    def test_a_machine_without_errors_is_centred(self):
        plant = make_plant("ideal")
        for section in plant.sections.values():
            np.testing.assert_allclose(section.true_orbit_mm(), 0.0, atol=1e-12)

    def test_readings_of_a_real_machine_scatter_around_the_truth(self):
        plant = make_plant("nominal", seed=5)
        pvs = [pv for b in CM1.bpms for pv in (b.x, b.y)]
        shots = [plant.shot() for _ in range(201)]
        readings = np.array([[shot[pv].value for pv in pvs] for shot in shots])
        off = np.median(readings, axis=0) - plant.sections["cm1"].true_orbit_mm()
        assert np.abs(off).max() < MACHINE.types.bpm.offset.value + 0.03
        lo, hi = MACHINE.types.bpm.noise.range
        assert np.all(0.7 * lo < 1.48 * np.median(np.abs(readings - np.median(readings, axis=0)), axis=0))
        assert np.all(1.48 * np.median(np.abs(readings - np.median(readings, axis=0)), axis=0) < 1.3 * hi)

    def test_a_dead_bpm_reads_nothing_but_zero(self):
        plant = make_plant("dead", seed=2)
        dead = plant.sections["cm1"].errors.dead_channel[0]
        shot = plant.shot()
        values = np.array([shot[pv].value for b in CM1.bpms for pv in (b.x, b.y)])
        assert dead.sum() == 2
        assert not values[dead].any()
        assert values[~dead].all()


class TestSeed:
    def test_the_same_seed_is_the_same_machine_and_the_same_noise(self):
        one, other = make_plant("err5", seed=7), make_plant("err5", seed=8)
        assert other.put(MACHINE.simulation.seed, 7.0) == 7.0
        assert [s.value for s in one.shot().values()][:-1] == [s.value for s in other.shot().values()][:-1]
        for name, section in one.sections.items():
            np.testing.assert_array_equal(section.true_orbit_mm(), other.sections[name].true_orbit_mm())

    def test_a_redraw_brings_every_supply_to_its_new_start(self):
        plant = make_plant("err5", seed=1)
        first = actual(plant)
        plant.put(CORRECTOR, 30.0)
        plant.put(MACHINE.simulation.seed, 2.0)
        second = actual(plant)
        assert all(plant.is_settled(c.setpoint) for c in CM1.correctors)
        plant.put(MACHINE.simulation.seed, 1.0)
        for device, values in actual(plant).items():
            np.testing.assert_array_equal(values, first[device])
        assert not np.array_equal(second[next(iter(second))], first[next(iter(first))])

    def test_sections_differ(self):
        plant = make_plant("err5")
        assert not np.array_equal(plant.sections["cm1"].true_orbit_mm(), plant.sections["cm3"].true_orbit_mm())

    def test_the_initial_rms_is_that_of_the_paper(self):
        """0.6 to 7 mm, mode about 2."""
        plant, rms = make_plant("published"), []
        for seed in range(60):
            plant.redraw(seed)
            rms.append(float(np.sqrt(np.mean(plant.sections["cm1"].true_orbit_mm() ** 2))))
        assert min(rms) > 0.5
        assert max(rms) < 8.0
        assert 1.5 < np.median(rms) < 4.0


class TestChannels:
    def test_every_pv_of_the_description_is_there_once(self):
        channels = machine_channels(MACHINE)
        pvs = [c.pv for c in channels]
        assert len(pvs) == len(set(pvs))
        supplies = [c for s in MACHINE.sections.values() for c in s.correctors]
        assert {pv for c in supplies for pv in (c.setpoint, c.readback)} | set(BPMS) <= set(pvs)
        assert {MACHINE.permit, MACHINE.identity.pv, MACHINE.heartbeat.pv, MACHINE.simulation.seed} <= set(pvs)

    def test_a_shot_has_a_reading_of_everything_that_is_measured(self):
        plant = make_plant()
        measured = {c.pv for c in plant.channels.values() if c.role in {Role.READBACK, Role.BPM, Role.CURRENT}}
        assert set(plant.shot()) == measured | {MACHINE.heartbeat.pv}

    def test_only_setpoints_permits_and_seed_are_writable(self):
        writable = {c.role for c in machine_channels(MACHINE) if c.writable}
        assert writable == {Role.SETPOINT, Role.PERMIT, Role.ENABLE, Role.SEED}


class TestScenarios:
    def test_published_is_the_papers_misalignment_and_nothing_else(self):
        spec = find_scenario(MACHINE, "published")
        assert (spec.solenoid_offset_m, spec.incoming_m) == pytest.approx((3e-3, 0.6e-3))
        rest = {k: v for k, v in vars(spec).items() if k not in {"solenoid_offset_m", "incoming_m"}}
        assert not any(np.any(v) for v in rest.values())
        assert find_scenario(MACHINE, "published5").solenoid_common == 0.05

    def test_ideal_is_nothing_at_all(self):
        assert not any(np.any(v) for v in vars(find_scenario(MACHINE, "ideal")).values())

    def test_the_others_are_nominal_and_more(self):
        known = scenarios(MACHINE)
        nominal, err5 = known["nominal"], known["err5"]
        assert known["mis6"].solenoid_offset_m == 2 * nominal.solenoid_offset_m
        assert (err5.calibration, err5.solenoid_each, err5.solenoid_common, err5.cavity_voltage) == (0.05,) * 4
        assert (err5.cavity_phase_rad, err5.energy) == pytest.approx((math.radians(5), 0.01))
        faults = {
            "dead": "dead_bpms",
            "weak": "weak_correctors",
            "reversed": "reversed_correctors",
            "crossed": "crossed_pairs",
        }
        for name, field in faults.items():
            assert {k: v for k, v in vars(known[name]).items() if v != vars(err5)[k]} == {field: 1}

    def test_an_unknown_one_lists_the_known(self):
        with pytest.raises(UnknownNameError, match=r"err50.*published"):
            find_scenario(MACHINE, "err50")
