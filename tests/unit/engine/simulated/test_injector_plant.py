"""The simulated injector as its control system sees it: physics, ramps, monitors, permit, starts. Seeds as given."""

import itertools
import math

import numpy as np
import pytest

from beamctl.engine.base import Severity
from beamctl.engine.simulated import injector_plant
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.engine.simulated.injector import design_setting, knob_limits, settings
from beamctl.engine.simulated.injector_plant import InjectorPlant
from beamctl.engine.simulated.injector_scenarios import injector_scenarios
from beamctl.errors import UnknownNameError
from beamctl.machine.loader import load_injector
from simulators.lpi import Settings, run

MACHINE = load_injector("lpi")
KNOBS, MONITORS = MACHINE.lebt.knobs, MACHINE.monitors
SOLENOID, CORRECTOR = KNOBS[0].setpoint, KNOBS[2].setpoint
SOURCE, ACCT, MFC1 = MACHINE.source.monitor, MONITORS.acct, MONITORS.mfc1
CURRENTS = [SOURCE, ACCT, MFC1]
NOISE, FLOOR = MONITORS.noise.value, MONITORS.beam_floor.value


def make_plant(scenario="nominal", seed=1):
    return InjectorPlant(MACHINE, scenario, seed)


def move(plant, current_a):
    """Put all knobs and wait for the supplies."""
    for knob, value in zip(KNOBS, current_a, strict=True):
        plant.put(knob.setpoint, float(value))
    plant.advance(100.0)


def readings(plant, count, pvs=CURRENTS, apart_s=0.1):
    """Readings of some PVs, shape (count, pvs)."""
    rows = []
    for _ in range(count):
        plant.advance(apart_s)
        shot = plant.shot()
        rows.append([shot[pv].value for pv in pvs])
    return np.array(rows)


class TestPhysics:
    @pytest.mark.parametrize("scenario", list(injector_scenarios(MACHINE)))
    def test_the_true_currents_are_the_simulators(self, scenario):
        plant = make_plant(scenario, seed=4)
        rng = np.random.default_rng(4)
        for current_a in rng.uniform(*knob_limits(MACHINE), (5, 6)):
            move(plant, current_a)
            truth = run(plant.injector, Settings(*settings(MACHINE, current_a)))
            source = plant.injector.source.current_a * (1 + plant.injector.h2_share)
            np.testing.assert_allclose(plant.true_ma(), [1e3 * source, 1e3 * truth.acct_a, 1e3 * truth.mfc1_a])

    def test_an_ideal_injector_shows_the_truth_but_for_the_noise(self):
        plant = make_plant("ideal")
        seen = readings(plant, 2000, apart_s=MONITORS.drift_time.value)
        np.testing.assert_allclose(seen.mean(axis=0), plant.true_ma(), atol=4 * NOISE / math.sqrt(2000))
        np.testing.assert_allclose(seen.std(axis=0), NOISE, rtol=0.1)

    def test_the_ideal_injector_is_best_at_the_design_setting(self):
        plant = make_plant("ideal")
        move(plant, design_setting(MACHINE))
        source, acct, mfc1 = plant.true_ma()
        assert acct > 0.99 * source
        assert mfc1 > 0.97 * source

    @pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
    def test_every_knob_moves_the_beam(self, knob):
        plant = make_plant("ideal")
        move(plant, design_setting(MACHINE))
        before = plant.true_ma()[2]
        plant.put(knob.setpoint, plant.setpoint(knob.setpoint) + 40.0)
        plant.advance(100.0)
        assert plant.true_ma()[2] < before - 0.05

    def test_an_injector_that_stands_still_is_evaluated_once(self, monkeypatch):
        plant = make_plant()
        calls = []
        monkeypatch.setattr(injector_plant, "run", lambda *given: calls.append(given) or run(*given))
        readings(plant, 20)
        assert len(calls) == 1
        plant.put(SOLENOID, plant.setpoint(SOLENOID) - 3.0)
        readings(plant, 20)
        assert 2 <= len(calls) <= 4

    def test_nobody_looks_nothing_is_evaluated(self, monkeypatch):
        plant = make_plant()
        monkeypatch.setattr(injector_plant, "run", lambda *_: pytest.fail("evaluated"))
        assert set(plant.shot({"cm1", ""})) == {MACHINE.heartbeat.pv}


class TestSupplies:
    @pytest.mark.parametrize("pv", [SOLENOID, CORRECTOR])
    def test_a_supply_ramps_at_its_slew_rate(self, pv):
        plant = make_plant()
        slew, start = MACHINE.lebt.supply.slew.value, plant.setpoint(pv)
        index = [knob.setpoint for knob in KNOBS].index(pv)
        goal = start + (15.0 if start < 0 or (pv == SOLENOID and start < 200) else -15.0)
        assert plant.put(pv, goal) == plant.setpoint(pv) == goal
        plant.advance(0.25)
        assert plant.current_a[index] == pytest.approx(start + math.copysign(0.25 * slew, goal - start))
        assert plant.time_left(pv) == pytest.approx(15.0 / slew - 0.25)
        assert not plant.is_settled(pv)
        plant.advance(1.0)
        assert plant.current_a[index] == goal
        assert plant.is_settled(pv)

    def test_currents_follow_the_ramp_and_not_the_setpoint(self):
        plant = make_plant("ideal")
        move(plant, design_setting(MACHINE))
        before = plant.true_ma()
        plant.put(SOLENOID, 320.0)
        np.testing.assert_array_equal(plant.true_ma(), before)
        seen = [plant.true_ma()[2]]
        for _ in range(8):
            plant.advance(0.5)
            seen.append(plant.true_ma()[2])
        assert all(after <= earlier + 0.02 for earlier, after in itertools.pairwise(seen[:5]))
        assert min(seen) < 0.5 * seen[0]

    def test_a_put_is_clamped_like_a_records(self):
        plant = make_plant()
        for knob in KNOBS:
            assert plant.put(knob.setpoint, 1e6) == plant.setpoint(knob.setpoint) == knob.limits.hi
            assert plant.put(knob.setpoint, -1e6) == plant.setpoint(knob.setpoint) == knob.limits.lo

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_what_is_not_finite_is_refused(self, value):
        with pytest.raises(ValueError, match="not a finite number"):
            make_plant().put(SOLENOID, value)

    @pytest.mark.parametrize("pv", [KNOBS[0].readback, *CURRENTS, MACHINE.heartbeat.pv])
    def test_readings_cannot_be_put(self, pv):
        with pytest.raises(ValueError, match="read-only"):
            make_plant().put(pv, 1.0)

    def test_readbacks_scatter_within_tolerance_of_what_the_supplies_do(self):
        plant = make_plant(seed=3)
        off = readings(plant, 300, [knob.readback for knob in KNOBS]) - plant.current_a
        noise = MACHINE.lebt.supply.readback_noise.value
        assert np.abs(off).max() < MACHINE.lebt.supply.tolerance.value
        np.testing.assert_allclose(off.std(axis=0), noise * math.sqrt(1 - 0.7**2), rtol=0.2)
        assert np.abs(off.mean(axis=0)).max() > 0.01

    def test_a_jammed_supply_takes_its_setpoint_and_stands_still(self):
        plant = make_plant("ideal")
        move(plant, design_setting(MACHINE))
        before = plant.true_ma().copy()
        plant.jam({SOLENOID})
        assert plant.put(SOLENOID, 300.0) == plant.setpoint(SOLENOID) == 300.0
        assert plant.is_settled(SOLENOID)
        plant.advance(100.0)
        assert plant.shot()[KNOBS[0].readback].value == pytest.approx(180.0, abs=0.3)
        np.testing.assert_array_equal(plant.true_ma(), before)
        plant.jam(())
        assert plant.time_left(SOLENOID) == pytest.approx(6.0)
        plant.advance(6.1)
        assert plant.shot()[KNOBS[0].readback].value == pytest.approx(300.0, abs=0.3)
        assert plant.true_ma()[2] < 0.5 * before[2]

    def test_a_jammed_supply_stays_jammed_in_another_machine(self):
        plant = make_plant()
        plant.jam({SOLENOID})
        plant.put(MACHINE.simulation.seed, 2.0)
        start = plant.current_a[0]
        plant.put(SOLENOID, 250.0)
        plant.advance(10.0)
        assert plant.current_a[0] == start


class TestMonitors:
    def test_readings_have_the_noise_of_the_description(self):
        plant = make_plant(seed=6)
        seen = readings(plant, 2000, apart_s=1e-3)  # too short for a drift
        spread = 1.4826 * np.median(np.abs(seen - np.median(seen, axis=0)), axis=0)
        np.testing.assert_allclose(spread, NOISE, rtol=0.1)

    def test_shifted_machines_are_twice_as_noisy(self):
        seen = readings(make_plant("shifted", seed=6), 1000, apart_s=1e-3)
        assert np.median(np.abs(seen - np.median(seen, axis=0))) == pytest.approx(2 * NOISE / 1.4826, rel=0.15)

    def test_calibrations_differ_between_machines_and_stay_within_the_description(self):
        gains = []
        for seed in range(12):
            plant = make_plant(seed=seed)
            move(plant, design_setting(MACHINE))
            seen = np.median(readings(plant, 101, [ACCT, MFC1], 1e-3), axis=0)
            gains.append(seen / plant.true_ma()[1:] - 1.0)
        # The zero is off by 0.005 mA rms, half a per cent of the current.
        assert np.abs(gains).max() < MONITORS.calibration_error.value + 0.02
        assert np.std(gains) > 0.003

    def test_the_source_monitor_counts_h2(self):
        plant = make_plant(seed=2)
        expected = 1e3 * plant.injector.source.current_a * (1 + plant.injector.h2_share)
        assert readings(plant, 400)[:, 0].mean() == pytest.approx(expected, abs=4 * NOISE / 20)

    def test_a_pulse_is_missed_now_and_then(self):
        plant = make_plant(seed=7)
        move(plant, design_setting(MACHINE))
        seen = readings(plant, 20_000, [ACCT, MFC1], 1e-4)
        missed = seen < 0.1
        share = MONITORS.glitch_probability.value
        assert missed.mean() == pytest.approx(share, rel=0.4)
        assert not missed.all(axis=1).any()
        assert np.abs(seen[missed]).max() < 5 * NOISE + 4 * MONITORS.drift.value

    def test_the_zero_wanders_and_comes_back(self):
        apart, count = MONITORS.drift_time.value / 2, 4000
        plant = make_plant(seed=8)
        plant.put(MACHINE.permit, 0.0)
        seen = readings(plant, count, [ACCT, MFC1], apart)
        zero = MONITORS.drift.value
        assert seen.mean() == pytest.approx(0.0, abs=5 * zero / math.sqrt(count / 2))
        assert seen.std() == pytest.approx(math.hypot(zero, NOISE), rel=0.05)
        covariance = np.mean(seen[1:] * seen[:-1], axis=0)
        np.testing.assert_allclose(covariance, zero**2 * math.exp(-0.5), rtol=0.25)

    def test_readings_around_zero_are_negative_half_of_the_time(self):
        plant = make_plant(seed=9)
        plant.put(MACHINE.permit, 0.0)
        seen = readings(plant, 2000, apart_s=MONITORS.drift_time.value)
        np.testing.assert_allclose((seen < 0).mean(axis=0), 0.5, atol=0.05)

    def test_the_heartbeat_counts(self):
        plant = make_plant()
        beats = readings(plant, 4, [MACHINE.heartbeat.pv])[:, 0]
        assert np.diff(beats).tolist() == [1.0, 1.0, 1.0]

    def test_no_reading_alarms(self):
        assert {sample.severity for sample in make_plant().shot().values()} == {Severity.NO_ALARM}


class TestPermit:
    def test_without_permit_there_is_no_beam_anywhere(self):
        plant = make_plant()
        with_beam = plant.true_ma().copy()
        assert plant.put(MACHINE.permit, 0.0) == 0.0
        assert not plant.true_ma().any()
        assert np.abs(readings(plant, 20)).max() < FLOOR
        plant.put(MACHINE.permit, 1.0)
        np.testing.assert_array_equal(plant.true_ma(), with_beam)

    def test_supplies_ramp_without_permit_and_the_beam_knows(self):
        plant = make_plant("ideal")
        plant.true_ma()
        plant.put(MACHINE.permit, 0.0)
        move(plant, design_setting(MACHINE))
        plant.put(MACHINE.permit, 1.0)
        assert plant.true_ma()[2] > 1.4


class TestStarts:
    def starts(self, scenario, count):
        """True currents, shape (count, 3), with the setpoints that they belong to."""
        plant, found = make_plant(scenario, 0), []
        lo, hi = knob_limits(MACHINE)
        for seed in range(count):
            plant.redraw(seed)
            held = np.array([plant.setpoint(knob.setpoint) for knob in KNOBS])
            assert np.all((lo <= held) & (held <= hi))
            np.testing.assert_array_equal(held, plant.current_a)
            found.append(plant.true_ma().copy())
        return np.array(found)

    def test_a_machine_is_found_with_little_current_and_half_of_it_transmitted(self):
        _, acct, mfc1 = self.starts("nominal", 200).T
        reached = mfc1 / acct
        print(f"ACCT {acct.mean():.3f} mA, T {reached.mean():.3f}, MFC1 {mfc1.mean():.3f} mA")
        assert np.mean((reached >= 0.40) & (reached <= 0.75)) > 0.97
        assert acct.min() > FLOOR
        assert acct.mean() == pytest.approx(0.47, abs=0.07)
        assert reached.mean() == pytest.approx(0.47, abs=0.05)

    @pytest.mark.parametrize("scenario", ["ideal", "shifted", "reversed"])
    def test_so_it_is_in_the_other_scenarios(self, scenario):
        _, acct, mfc1 = self.starts(scenario, 60).T
        assert np.mean((mfc1 >= 0.40 * acct) & (mfc1 <= 0.75 * acct)) > 0.9
        assert 0.3 < acct.mean() < 0.6

    def test_a_dark_machine_has_hardly_any_beam_and_its_source_runs(self):
        source, acct, _ = self.starts("dark", 80).T
        assert np.mean(acct < FLOOR) > 0.97
        assert acct.max() < 2 * FLOOR
        assert source.min() > MACHINE.source.current_floor.value


class TestSeed:
    def test_the_same_seed_is_the_same_machine_and_the_same_noise(self):
        one, other = make_plant(seed=7), make_plant(seed=8)
        assert other.put(MACHINE.simulation.seed, 7.0) == 7.0
        np.testing.assert_array_equal(other.current_a, one.current_a)
        np.testing.assert_array_equal(readings(one, 5), readings(other, 5))

    def test_another_seed_is_another_machine(self):
        plant = make_plant(seed=1)
        first, start = plant.true_ma(), plant.current_a
        plant.redraw(2)
        assert not np.any(plant.true_ma() == first)
        assert not np.any(plant.current_a == start)
        assert plant.seed == 2

    def test_a_redraw_ends_every_ramp(self):
        plant = make_plant()
        plant.put(SOLENOID, 320.0)
        plant.put(MACHINE.simulation.seed, 3.0)
        assert all(plant.is_settled(knob.setpoint) for knob in KNOBS)


class TestChannels:
    CHANNELS = machine_channels(MACHINE)

    def test_every_pv_of_the_description_is_there_once(self):
        pvs = [c.pv for c in self.CHANNELS]
        assert len(pvs) == len(set(pvs)) == 21
        assert {pv for knob in KNOBS for pv in (knob.setpoint, knob.readback)} | set(CURRENTS) <= set(pvs)

    def test_supplies_have_the_descriptions_limits_and_units(self):
        by_pv = {c.pv: c for c in self.CHANNELS}
        for knob in KNOBS:
            for pv in (knob.setpoint, knob.readback):
                assert (by_pv[pv].lo, by_pv[pv].hi, by_pv[pv].units) == (knob.limits.lo, knob.limits.hi, "A")
                assert knob.name in by_pv[pv].description
        assert {by_pv[pv].units for pv in CURRENTS} == {"mA"}

    def test_descriptions_fit_into_a_record(self):
        assert max(len(c.description) for c in self.CHANNELS) <= 40
        assert all(c.description for c in self.CHANNELS)

    def test_a_shot_has_a_reading_of_everything_that_is_measured(self):
        measured = {c.pv for c in self.CHANNELS if c.role in {Role.READBACK, Role.CURRENT, Role.HEARTBEAT}}
        assert set(make_plant().shot()) == measured

    def test_an_unknown_scenario_lists_the_known(self):
        with pytest.raises(UnknownNameError, match=r"err5.*nominal"):
            make_plant("err5")
