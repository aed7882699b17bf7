"""The preflight over the simulated machine: what it finds, and that it leaves nothing behind, whatever happens."""

from functools import cache

import numpy as np
import pytest

from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import StaleReadingError
from beamctl.run.events import Held, Outcome, Stepped
from beamctl.run.mapped_course import MappedOrbitCourse
from beamctl.run.preflight import Preflight
from beamctl.run.session import TuningRun
from beamctl.settings import Settings
from beamctl.task.identification import Verdict
from beamctl.task.prior import section_prior
from beamctl.wiring.deployment import Deployment

READS = {"cm1-orbit": 21, "cm2-orbit": 17, "cm3-orbit": 21}


@cache
def prior_of(task):
    kit = Deployment(Settings()).orbit(task)
    return section_prior(kit.machine, kit.design, kit.ion, task)


def preflight_of(rig, task="cm1-orbit") -> Preflight:
    def listen(event):
        rig.events.append(event)
        rig.on_event(event)

    return Preflight(rig.engine, rig.layout, rig.problem, prior_of(task), listen)


def of(rig, kind):
    return [event for event in rig.events if isinstance(event, kind)]


def is_left_alone(rig, result) -> bool:
    """Everything is as found, the report says so, and no put was out of order."""
    outcomes = {line.outcome for line in result.run.restore}
    return (
        result.run.restored
        and rig.off() == set()
        and rig.breaches() == []
        and outcomes <= {RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED}
    )


class TestFound:
    @pytest.mark.parametrize("task", READS)
    def test_a_healthy_machine(self, make_rig, task):
        rig = make_rig(task)
        result = preflight_of(rig, task).execute()
        assert result.run.outcome is Outcome.REACHED, result.run.reason
        assert result.reads == READS[task] == 1 + 2 * len(rig.knobs)
        assert result.findings.faults == ()
        assert result.run.writes == len(rig.puts)
        assert is_left_alone(rig, result)
        steps = of(rig, Stepped)
        assert [s.step for s in steps] == list(range(READS[task]))
        assert max(np.abs(s.values).max() for s in steps) < 15.0

    @pytest.mark.parametrize(
        ("scenario", "verdict", "count"),
        [
            ("reversed", Verdict.REVERSED, 1),
            ("reversed3", Verdict.REVERSED, 3),
            ("swapped", Verdict.SWAPPED, 2),
            ("crossed", Verdict.CROSSED, 2),
            ("weak", Verdict.WEAK, 1),
            ("dead-corrector", Verdict.DEAD, 1),
            ("reversed-bpm", Verdict.REVERSED, 1),
            ("dead", Verdict.DEAD, 2),
        ],
    )
    def test_a_fault_is_named_and_the_agent_is_told(self, make_rig, scenario, verdict, count):
        rig = make_rig(scenario=scenario)
        result = preflight_of(rig).execute()
        faults = result.findings.faults
        assert [f.verdict for f in faults] == [verdict] * count
        assert min(f.confidence for f in faults) > 0.99
        errors = rig.plant.sections["cm1"].errors
        factor, own = errors.corrector[0], errors.magnet[0] == np.arange(len(rig.knobs))
        planted = {k.name for k, f, o in zip(rig.knobs, factor, own, strict=True) if abs(f - 1) > 0.2 or not o}
        wrong = (errors.channel_sign[0] < 0) | errors.dead_channel[0]
        planted |= {name for name, bad in zip(rig.layout.channel_names, wrong, strict=True) if bad}
        assert {f.name for f in faults} == planted
        assert is_left_alone(rig, result)
        agent = Deployment(Settings()).orbit("cm1-orbit").agent()
        course = MappedOrbitCourse(rig.problem, agent, result.findings.mapping)
        tuned = TuningRun(rig.engine, rig.layout, course, rig.events.append).execute()
        assert tuned.outcome is Outcome.REACHED, tuned.reason
        assert np.sqrt(np.mean(rig.plant.sections["cm1"].true_orbit_mm() ** 2)) < 0.5
        assert rig.breaches() == []

    def test_the_table_is_fit_to_be_shown(self, make_rig):
        rig = make_rig(scenario="dead")
        found = preflight_of(rig).execute().findings
        assert [line.name for line in found.table] == [*(k.name for k in rig.knobs), *rig.layout.channel_names]
        assert found.expected_mm_per_a.shape == found.measured_mm_per_a.shape == (10, 10)
        dead = rig.plant.sections["cm1"].errors.dead_channel[0]
        assert (np.isnan(found.measured_mm_per_a).all(axis=1) == dead).all()
        lines = [line for line in found.table if line.device == "corrector"]
        assert all(0.5 < line.gain < 1.5 and np.isfinite(line.measured_mm_per_a) for line in lines)
        assert 0.01 < found.noise_mm < 0.1

    def test_near_a_limit_kicks_are_made_inwards(self, rig):
        for pv, value in zip(rig.start, (74.0, -74.0, 73.0), strict=False):
            rig.plant.put(pv, value)
        rig.clock.sleep(60.0)
        rig.puts.clear()
        rig.start = {pv: float(rig.plant.setpoint(pv)) for pv in rig.start}
        result = preflight_of(rig).execute()
        assert result.run.outcome is Outcome.REACHED, result.run.reason
        assert result.findings.faults == ()
        assert is_left_alone(rig, result)

    def test_narrower_limits_of_the_ioc_are_kept(self, rig):
        for pv, value in rig.start.items():
            rig.limit(pv, value - 3.0, value + 3.0)
        result = preflight_of(rig).execute()
        assert result.run.outcome is Outcome.REACHED, result.run.reason
        assert result.findings.faults == ()
        assert is_left_alone(rig, result)


class TestAborted:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("seed", range(3))
    def test_at_any_instant(self, make_rig, when, seed):
        """Seeds of the instants: 0 to 2; every call to the engine is one."""
        rng = np.random.default_rng(seed)
        calls = len(_calls_of(make_rig()))
        for n in rng.integers(1, calls, size=12):
            rig = make_rig()
            run = preflight_of(rig)
            setattr(rig.engine, when, lambda i, name, n=n, run=run: run.abort() if i == n else None)
            result = run.execute()
            if result.run.outcome is not Outcome.REACHED:  # an abort while the snapshot is restored comes too late
                assert result.run.outcome is Outcome.ABORTED
                assert result.findings is None
            assert is_left_alone(rig, result), f"call {n} of {calls}, seed {seed}"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, StaleReadingError])
    def test_an_exception_in_the_engine(self, make_rig, error):
        calls = _calls_of(make_rig())
        writes = [i for i, name in enumerate(calls, 1) if name == "write"]
        for n in (writes[3], writes[3] + 1, writes[12]):
            rig = make_rig()

            def fail(i, name, n=n):
                if i == n:
                    raise error("injected")

            rig.engine.after = fail
            try:
                result = preflight_of(rig).execute()
            except KeyboardInterrupt:
                assert error is KeyboardInterrupt
            else:
                assert result.run.restored
            assert rig.off() == set()
            assert rig.breaches() == []


class TestBadReadings:
    def _while_bad(self, rig, spoil, heal, seconds):
        def on_event(event):
            if isinstance(event, Stepped) and event.step == 7 and not done:
                done.append(len(rig.puts))
                spoil()
                rig.clock.after(seconds, heal)

        done = []
        rig.on_event = on_event
        return done

    def test_hold(self, rig):
        pv = rig.layout.channels[2]
        self._while_bad(rig, lambda: rig.faults.invalid.add(pv), lambda: rig.faults.invalid.discard(pv), 8.0)
        bad = []
        rig.on_put = lambda put: bad.append(put) if is_published() else None

        def is_published():
            return not rig.engine._engine.latest([pv])[pv].is_valid

        result = preflight_of(rig).execute()
        assert of(rig, Held)
        assert bad == []
        assert result.run.outcome is Outcome.REACHED
        assert result.reads == READS["cm1-orbit"]
        assert result.findings.faults == ()
        assert is_left_alone(rig, result)

    def test_that_do_not_come_back_end_it(self, rig):
        pv = rig.layout.channels[2]
        self._while_bad(rig, lambda: rig.faults.invalid.add(pv), lambda: None, 1e6)
        result = preflight_of(rig).execute()
        assert result.run.outcome is Outcome.FAILED
        assert result.findings is None
        assert is_left_alone(rig, result)

    def test_a_beam_trip_is_waited_out(self, rig):
        self._while_bad(rig, lambda: rig.permit(False), lambda: rig.permit(True), 6.0)
        result = preflight_of(rig).execute()
        assert result.run.outcome in (Outcome.REACHED, Outcome.NOT_REACHED)
        assert (result.findings is None) == (result.run.outcome is not Outcome.REACHED)
        assert is_left_alone(rig, result)

    def test_a_foreign_write_is_left_alone(self, rig):
        pv = rig.knobs[4].setpoint
        self._while_bad(rig, lambda: rig.foreign(pv, rig.start[pv] + 1.5), lambda: None, 1e6)
        result = preflight_of(rig).execute()
        assert result.run.outcome is Outcome.FAILED
        assert result.findings is None
        assert rig.off() == {pv}
        assert rig.plant.setpoint(pv) == pytest.approx(rig.start[pv] + 1.5)


def _calls_of(rig) -> list[str]:
    preflight_of(rig).execute()
    return list(rig.engine.calls)
