"""Whole runs against a machine that misbehaves and agents that mean harm; the judge is the machine's log of puts."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import (
    AgentError,
    BeamControlError,
    ChannelConnectionError,
    PermitLostError,
    StaleReadingError,
)
from beamctl.run.events import Advice, Armed, Held, Outcome, Restored, Stepped
from beamctl.run.orbit_course import NO_GAIN_STEPS

ROOT = Path(__file__).parents[3]
WHEN = ["before", "after"]
INJECTED = [KeyboardInterrupt, OSError, ChannelConnectionError]
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.just(float("1e400")) | st.floats(-30, 30)


def of(rig, kind):
    return [event for event in rig.events if isinstance(event, kind)]


def after_step(rig, step, action):
    """Do something once, when the machine has been measured after a step."""

    def on_event(event):
        if isinstance(event, Stepped) and event.step == step and not done:
            done.append(True)
            action()

    done = []
    rig.on_event = on_event


def is_restored(rig, result) -> bool:
    """The run says so for every knob, the machine agrees, and no put was out of order."""
    return (
        result.restored
        and rig.off() == set()
        and rig.breaches() == []
        and len(result.restore) == len(rig.knobs)
        and {line.outcome for line in result.restore} <= {RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED}
    )


class TestReached:
    @pytest.mark.parametrize("agent", [BoxLeastSquaresAgent, SvdAgent])
    @pytest.mark.parametrize("task", ["cm1-orbit", "cm2-orbit", "cm3-orbit"])
    @pytest.mark.parametrize("scenario", ["err5", "dead"])
    def test_the_setting_is_kept(self, make_rig, task, agent, scenario):
        rig = make_rig(task, scenario)
        result = rig.run(agent()).execute()
        assert result.outcome is Outcome.REACHED, result.reason
        assert result.final["rms_mm"] < rig.problem.target_mm < result.initial["rms_mm"]
        assert not result.restored
        assert result.writes == len(rig.puts) > 0
        assert rig.breaches() == []
        assert rig.off() != set()

    def test_events_tell_the_story(self, rig):
        result = rig.run().execute()
        steps = of(rig, Stepped)
        assert isinstance(rig.events[0], Armed)
        assert [s.step for s in steps] == [0, *range(result.steps + 1)]
        assert steps[1].note == "first trend move"
        assert steps[0].figures["rms_mm"] == result.initial["rms_mm"]
        assert steps[-1].figures["rms_mm"] == result.final["rms_mm"]

    def test_two_measurements_confirm(self, rig, monkeypatch):
        """One lucky reading does not end a run."""
        run = rig.run()
        guard = run._guard
        sound, lucky = guard.reader.measure, []

        def measure():
            measured = sound()
            if len(of(rig, Stepped)) == 1 and not lucky:
                lucky.append(True)
                return type(measured)(0.0 * measured.values, measured.valid)
            return measured

        monkeypatch.setattr(guard.reader, "measure", measure)
        result = run.execute()
        assert lucky
        assert result.steps > 0
        assert result.outcome is Outcome.REACHED

    def test_already_there(self, make_rig):
        rig = make_rig(scenario="ideal")
        result = rig.run().execute()
        assert result.outcome is Outcome.REACHED
        assert result.writes == 0
        assert rig.puts == []

    def test_a_dead_bpm_is_left_out(self, make_rig):
        rig = make_rig(scenario="dead")
        dead = rig.plant.sections["cm1"].errors.dead_channel[0]
        result = rig.run().execute()
        assert result.outcome is Outcome.REACHED
        assert (result.valid == ~dead).all()

    def test_a_bpm_that_is_invalid_from_the_start_is_left_out(self, rig):
        rig.faults.invalid.add(rig.layout.channels[2])
        result = rig.run().execute()
        assert result.outcome is Outcome.REACHED
        assert list(np.flatnonzero(~result.valid)) == [2]

    def test_a_bpm_that_freezes_on_the_way_is_left_out(self, rig):
        after_step(rig, 1, lambda: rig.faults.stuck.update({rig.layout.channels[2]: 3.0}))
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.REACHED
        assert list(np.flatnonzero(~result.valid)) == [2]


class TestAdvise:
    def test_nothing_is_written(self, rig):
        result, advice = rig.run().advise()
        assert result.outcome is Outcome.ADVISED
        assert result.writes == 0
        assert rig.puts == []
        assert of(rig, Advice) == [advice]
        assert np.abs(advice.proposed_a - advice.setpoint_a).max() <= rig.knobs[0].step
        assert advice.predicted["rms_mm"] < advice.figures["rms_mm"]

    def test_nor_with_a_bad_agent(self, rig, proposer):
        for proposal in ([[math.nan] * 10], [[1.0] * 9], None):
            with pytest.raises(AgentError, match="proposed"):
                rig.run(proposer(lambda _, p=proposal: p)).advise()
        _, advice = rig.run(proposer(lambda _: [[1e300] * 10])).advise()
        assert np.abs(advice.proposed_a - advice.setpoint_a).max() <= rig.knobs[0].step
        assert rig.puts == []


class TestRefusal:
    """Not armed: an error that names the cause, nothing written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, rig):
        yield
        assert rig.puts == []

    def test_too_few_bpms(self, rig):
        rig.faults.invalid |= set(rig.layout.channels[:6])
        with pytest.raises(StaleReadingError, match="only 4 of 10 channels"):
            rig.run().execute()

    def test_missing_pvs(self, rig):
        rig.faults.lost |= {rig.knobs[0].setpoint, rig.layout.heartbeat}
        with pytest.raises(ChannelConnectionError, match=f"{rig.knobs[0].setpoint}, {rig.layout.heartbeat}"):
            rig.run().execute()

    def test_no_beam(self, rig):
        rig.permit(False)
        with pytest.raises(PermitLostError):
            rig.run().execute()

    def test_aborted_before_anything(self, rig):
        run = rig.run()
        run.abort()
        result = run.execute()
        assert result.outcome is Outcome.ABORTED
        assert is_restored(rig, result)


class TestAgents:
    """A wrong agent cannot harm: 0 breaches, and the snapshot restored or the best setting kept."""

    def harmless(self, rig, agent, **problem):
        result = rig.run(agent, **problem).execute()
        assert rig.breaches() == []
        if result.restored:
            assert is_restored(rig, result)
        else:
            assert result.outcome in (Outcome.REACHED, Outcome.NOT_REACHED)
            assert result.final["rms_mm"] < result.initial["rms_mm"]
        return result

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(proposals=st.lists(st.lists(NUMBERS, min_size=10, max_size=10), min_size=1, max_size=12))
    def test_any_numbers(self, make_rig, proposer, proposals):
        rig, queue = make_rig(), list(proposals)
        self.harmless(rig, proposer(lambda _: [queue.pop() if len(queue) > 1 else queue[0]]), max_steps=12)

    @pytest.mark.parametrize("seed", range(5))
    def test_random(self, rig, proposer, seed):
        rng = np.random.default_rng(seed)
        self.harmless(rig, proposer(lambda _: rng.uniform(-40, 40, (1, 10))))

    @pytest.mark.parametrize("size", [15.0, -15.0, 1e308])
    def test_everything_to_one_side(self, rig, proposer, size):
        result = self.harmless(rig, proposer(lambda _: np.full((1, 10), size)))
        assert result.outcome is Outcome.NOT_REACHED

    def test_sign_flipped(self, rig, proposer):
        good = BoxLeastSquaresAgent()
        good.start(rig.problem)
        result = self.harmless(rig, proposer(lambda view: -good.propose(view)))
        assert result.outcome is Outcome.NOT_REACHED
        assert "worse than" in result.reason

    def test_frozen(self, rig, proposer):
        result = self.harmless(rig, proposer(lambda _: np.zeros((1, 10))))
        assert result.outcome is Outcome.NOT_REACHED
        assert f"no gain in {NO_GAIN_STEPS} steps" in result.reason

    @pytest.mark.parametrize(
        "proposal",
        [[[math.nan] * 10], [[math.inf] * 10], [[-math.inf] * 10], [[float("1e400")] * 10], [[1.0] * 9], [1.0] * 10,
         [[1.0] * 10] * 2, [], None, "go", 1.0, [["x"] * 10], [[None] * 10], [[1j] * 10], {}, object()],
    )  # fmt: skip
    def test_not_one_finite_number_per_knob(self, rig, proposer, proposal):
        result = self.harmless(rig, proposer(lambda _: proposal))
        assert result.outcome is Outcome.FAILED
        assert result.restored
        assert "proposer" in result.reason

    @pytest.mark.parametrize("error", [ValueError, ZeroDivisionError, MemoryError, RecursionError, StopIteration])
    def test_raising(self, rig, proposer, error):
        def propose(view):
            raise error("injected")

        result = self.harmless(rig, proposer(propose))
        assert result.outcome is Outcome.FAILED
        assert "injected" in result.reason

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_interrupting(self, rig, proposer, error):
        def propose(view):
            raise error

        with pytest.raises(error):
            rig.run(proposer(propose)).execute()
        assert {line.outcome for line in of(rig, Restored)[0].lines} == {RestoreOutcome.RESTORED}
        assert rig.off() == set()

    def test_scribbling_over_what_it_is_shown(self, rig, proposer):
        """What the agent is given is its own: neither snapshot nor present setting change under its hands."""

        def propose(view):
            view.setpoint_a[:] = view.history_mm[:] = 1e6
            view.valid[:] = False
            return np.full((1, 10), 3.0)

        self.harmless(rig, proposer(propose))

    def test_slow(self, rig, proposer):
        """Nothing that was checked before it thought is believed after."""

        def propose(view):
            rig.clock.sleep(60.0)
            rig.permit(False)
            return np.full((1, 10), 3.0)

        sent = []
        after_step(rig, 0, lambda: sent.append(len(rig.puts)))
        result = rig.run(proposer(propose)).execute()
        assert len(rig.puts) == len(rig.knobs), "the first trend move, nothing else"
        assert not result.restored


class TestEnds:
    def test_budget_spent_keeps_the_best(self, rig, proposer):
        good, calls = BoxLeastSquaresAgent(), []
        good.start(rig.problem)

        def propose(view):
            calls.append(True)
            return (0.3 if len(calls) == 1 else -0.1) * good.propose(view)

        result = rig.run(proposer(propose), max_steps=4, target_mm=0.01).execute()
        best = min(of(rig, Stepped)[:-1], key=lambda s: s.figures["rms_mm"])
        assert result.outcome is Outcome.NOT_REACHED
        assert "budget of 4 steps spent; best setting kept" in result.reason
        assert best.step == 1
        held = [rig.plant.setpoint(k.setpoint) for k in rig.knobs]
        assert np.allclose(held, best.setpoint_a, atol=1e-3)
        assert result.final["rms_mm"] == of(rig, Stepped)[-1].figures["rms_mm"]
        assert not result.restored
        assert rig.breaches() == []

    def test_no_setting_was_better_than_the_first(self, rig, proposer):
        good = BoxLeastSquaresAgent()
        good.start(rig.problem)
        result = rig.run(proposer(lambda view: -good.propose(view)), max_steps=2).execute()
        if result.restored:
            assert is_restored(rig, result)
            assert abs(result.final["rms_mm"] - result.initial["rms_mm"]) < 0.2, "measured after the restore"

    def test_a_target_that_cannot_be_reached(self, rig):
        result = rig.run(target_mm=0.011).execute()
        assert result.outcome is Outcome.NOT_REACHED
        assert result.final["rms_mm"] < result.initial["rms_mm"]
        assert rig.breaches() == []


class TestHold:
    """Bad data: nothing is written while it is bad, the run goes on when it is good again."""

    BREAK: ClassVar = {
        "permit low": lambda rig: rig.permit(False),
        "no beam": lambda rig: rig.faults.stuck.update({rig.layout.current: 0.0}),
        "current NaN": lambda rig: rig.faults.not_finite.add(rig.layout.current),
        "current INVALID": lambda rig: rig.faults.invalid.add(rig.layout.current),
        "current frozen": lambda rig: rig.faults.stuck.update({rig.layout.current: 2.4}),
        "current silent": lambda rig: rig.faults.silent.add(rig.layout.current),
        "heartbeat silent": lambda rig: rig.faults.silent.add(rig.layout.heartbeat),
        "heartbeat frozen": lambda rig: rig.faults.stuck.update({rig.layout.heartbeat: 7.0}),
        "IOC frozen": lambda rig: setattr(rig.faults, "frozen", True),
        "BPM NaN": lambda rig: rig.faults.not_finite.add(rig.layout.channels[5]),
        "BPM INVALID": lambda rig: rig.faults.invalid.add(rig.layout.channels[5]),
        "BPM silent": lambda rig: rig.faults.silent.add(rig.layout.channels[5]),
        "BPM out of range": lambda rig: rig.faults.stuck.update({rig.layout.channels[5]: 30.0}),
        "readback NaN": lambda rig: rig.faults.not_finite.add(rig.knobs[5].readback),
        "readback INVALID": lambda rig: rig.faults.invalid.add(rig.knobs[5].readback),
        "readback silent": lambda rig: rig.faults.silent.add(rig.knobs[5].readback),
        "setpoint INVALID": lambda rig: rig.faults.invalid.add(rig.knobs[5].setpoint),
    }

    @staticmethod
    def heal(rig) -> None:
        f = rig.faults
        for broken in (f.silent, f.stuck, f.not_finite, f.invalid):
            broken.clear()
        f.frozen = False
        rig.permit(True)

    @pytest.mark.parametrize("moment_s", [0.0, 0.75])
    @pytest.mark.parametrize("kind", BREAK)
    def test_goes_on_when_good_again(self, rig, kind, moment_s):
        """Broken some time after a measurement: before, while and after the next ramp."""

        def happen():
            rig.clock.after(moment_s, lambda: (self.BREAK[kind](rig), bad.append(rig.clock.now())))
            rig.clock.after(moment_s + 9.0, lambda: (bad.append(rig.clock.now()), self.heal(rig)))

        bad: list[float] = []
        after_step(rig, 1, happen)
        result = rig.run(SvdAgent()).execute()
        assert [p for p in rig.puts if bad[0] + 2.6 < p.at < bad[1]] == []
        if kind == "IOC frozen" and result.outcome is not Outcome.REACHED:
            assert is_restored(rig, result), "frozen in a put: its outcome is not known, and the run ends"
        else:
            assert result.outcome is Outcome.REACHED, result.reason
            assert of(rig, Held) or kind == "IOC frozen"
        assert rig.breaches() == []

    @pytest.mark.parametrize("kind", BREAK)
    def test_longer_than_the_limit_ends_it(self, rig, kind):
        after_step(rig, 1, lambda: (self.BREAK[kind](rig), bad.append(rig.clock.now())))
        bad = []
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert re.search(r"still bad after (3\d|30\d) s", result.reason)
        no_restore = kind in ("permit low", "heartbeat silent", "heartbeat frozen", "IOC frozen")
        if no_restore:
            assert [p for p in rig.puts if p.at > bad[0] + 2.6] == []
            assert not result.restored
            assert {line.outcome for line in result.restore} == {RestoreOutcome.FAILED}
            assert all(line.message for line in result.restore)
        else:
            self.heal(rig)
            flagged = {line.setpoint_pv for line in result.restore if line.outcome is not RestoreOutcome.RESTORED}
            assert flagged <= {rig.knobs[5].setpoint}
            assert rig.off() <= flagged
            assert result.restored == (flagged == set())

    def test_what_was_measured_before_a_hold_is_measured_again(self, rig):
        """A proposal from before is void: the agent is asked anew."""
        asked = []

        class Asked(SvdAgent):
            def propose(self, view):
                asked.append(view.history_mm[0, 2].copy())
                if len(asked) == 2:
                    rig.permit(False)
                    rig.clock.after(5.0, lambda: rig.permit(True))
                return super().propose(view)

        result = rig.run(Asked()).execute()
        assert result.outcome is Outcome.REACHED
        assert len(asked) == result.steps + 1
        assert (asked[1] != asked[2]).all()
        assert np.abs(asked[1] - asked[2]).max() < 0.5, "the same orbit, read again"

    def test_a_machine_that_comes_and_goes_for_ever(self, rig):
        def flap():
            rig.permit(False)
            rig.clock.after(1.0, lambda: rig.permit(True))
            rig.clock.after(6.7, flap)

        after_step(rig, 0, flap)
        rig.clock.after(2000.0, lambda: pytest.fail("it never ends"))
        result = rig.run(target_mm=0.011).execute()
        assert result.outcome in (Outcome.FAILED, Outcome.NOT_REACHED)
        assert rig.breaches() == []


class TestFailures:
    def test_a_put_that_is_refused(self, rig):
        pv = rig.knobs[3].setpoint
        after_step(rig, 1, lambda: rig.faults.refusing.add(pv))
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert f"{pv}: " in result.reason
        assert "refused" in result.reason
        left = {line.setpoint_pv for line in result.restore if line.outcome is not RestoreOutcome.RESTORED}
        assert left == {pv} == rig.off()
        assert not result.restored

    def test_a_put_that_is_altered(self, rig):
        pv = rig.knobs[3].setpoint
        after_step(rig, 1, lambda: rig.faults.altering.update({pv: 0.4}))
        rig.clock.after(12.0, rig.faults.altering.clear)
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert "altered" in result.reason

    def test_an_ioc_that_freezes_in_a_put(self, rig):
        def freeze(put):
            if len(rig.puts) == 2 * len(rig.knobs):
                rig.clock.after(0.1, lambda: setattr(rig.faults, "frozen", True))
                rig.clock.after(25.0, lambda: setattr(rig.faults, "frozen", False))

        rig.on_put = freeze
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert "unknown" in result.reason
        assert is_restored(rig, result)

    def test_a_supply_that_does_not_follow(self, rig):
        knob = rig.knobs[3]
        after_step(
            rig,
            1,
            lambda: rig.faults.stuck.update({knob.readback: rig.engine.latest([knob.readback])[knob.readback].value}),
        )
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert knob.readback in result.reason
        assert rig.off() == set()
        assert {line.outcome for line in result.restore if line.setpoint_pv != knob.setpoint} == {
            RestoreOutcome.RESTORED
        }
        assert (
            next(line.outcome for line in result.restore if line.setpoint_pv == knob.setpoint) is RestoreOutcome.FAILED
        )

    @pytest.mark.parametrize("moment_s", [0.0, 0.2, 0.6, 1.0, 1.5, 2.0])
    def test_somebody_else_writes(self, rig, moment_s):
        knob, theirs = rig.knobs[3], 41.0
        after_step(
            rig,
            1,
            lambda: rig.clock.after(moment_s, lambda: (rig.foreign(knob.setpoint, theirs), sent.append(len(rig.puts)))),
        )
        sent = []
        result = rig.run(SvdAgent()).execute()
        assert rig.plant.setpoint(knob.setpoint) == theirs
        assert [p for p in rig.puts[sent[0] :] if p.pv == knob.setpoint] == []
        if result.outcome is not Outcome.REACHED:
            assert rig.off() == {knob.setpoint}
            lines = {line.setpoint_pv: line.outcome for line in result.restore}
            assert lines.pop(knob.setpoint) is RestoreOutcome.FOREIGN
            assert set(lines.values()) == {RestoreOutcome.RESTORED}
            assert not result.restored

    def test_connections_are_lost_for_good(self, rig):
        after_step(rig, 1, lambda: rig.faults.lost.update(rig.plant.channels))
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert not result.restored
        assert {line.outcome for line in result.restore} == {RestoreOutcome.FAILED}
        assert math.isnan(result.final["rms_mm"]), "nobody has measured"

    def test_a_listener_that_fails_is_told_no_more(self, rig):
        """Nothing depends on who watches."""

        def fail(event):
            raise BrokenPipeError

        rig.on_event = fail
        result = rig.run().execute()
        assert result.outcome is Outcome.REACHED
        assert len(rig.events) == 1


class TestAtAnyMoment:
    """Whatever happens at the n-th call of the engine, for each n: restored, or told otherwise.

    The quick sweeps take every seventh or ninth call, those marked slow take all.
    """

    def calls_of_a_run(self, make_rig) -> int:
        rig = make_rig()
        assert rig.run().execute().outcome is Outcome.REACHED
        return len(rig.engine.calls)

    @pytest.mark.parametrize(
        ("when", "stride"), [("before", 7), ("after", 9), *[pytest.param(w, 1, marks=pytest.mark.slow) for w in WHEN]]
    )
    def test_abort(self, make_rig, when, stride):
        aborted = 0
        calls = range(1, self.calls_of_a_run(make_rig) + 1, stride)
        for n in calls:
            rig = make_rig()
            run = rig.run()
            setattr(rig.engine, when, lambda call, name, n=n, run=run: run.abort() if call == n else None)
            result = run.execute()
            aborted += result.outcome is Outcome.ABORTED
            if result.outcome is Outcome.ABORTED:
                assert is_restored(rig, result), (n, result)
            else:
                assert result.outcome is Outcome.REACHED
            assert rig.breaches() == []
        assert aborted > 0.8 * len(calls)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.floats(0.0, 12.0))
    def test_abort_at_any_time(self, make_rig, at):
        rig = make_rig()
        run = rig.run(SvdAgent())
        rig.clock.after(at, run.abort)
        result = run.execute()
        assert result.outcome is Outcome.REACHED or is_restored(rig, result)
        assert rig.breaches() == []

    @pytest.mark.parametrize(
        ("error", "when", "stride"),
        [
            *[(error, when, 9) for error in INJECTED for when in WHEN],
            *[pytest.param(error, when, 1, marks=pytest.mark.slow) for error in INJECTED for when in WHEN],
        ],
    )
    def test_an_exception(self, make_rig, error, when, stride):
        for n in range(1, self.calls_of_a_run(make_rig) + 1, stride):
            rig = make_rig()

            def fail(call, name, n=n):
                if call == n:
                    raise error("injected")

            setattr(rig.engine, when, fail)
            try:
                result = rig.run().execute()
            except (error, BeamControlError):
                result = None
            assert rig.breaches() == []
            restored = of(rig, Restored)
            if result is not None and result.outcome is Outcome.REACHED:
                continue
            if not restored:
                assert rig.puts == [], n
                continue
            told = {line.setpoint_pv for line in restored[0].lines if line.outcome not in
                    (RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED)}  # fmt: skip
            assert rig.off() == told == set(), (n, rig.engine.calls[n - 1])

    @pytest.mark.parametrize("gap", [1, 2, 5])
    def test_two_interrupts(self, make_rig, gap):
        """The second one, in the restore, does not stop it."""
        for n in range(20, self.calls_of_a_run(make_rig) + 1, 11):
            rig = make_rig()

            def fail(call, name, n=n):
                if call in (n, n + gap):
                    raise KeyboardInterrupt

            rig.engine.before = fail
            try:
                rig.run().execute()
            except KeyboardInterrupt:
                if rig.puts:
                    assert of(rig, Restored)
                    assert rig.off() == set(), n
                assert rig.breaches() == []


def test_a_run_loads_nothing_heavy():
    """Import has no weight: a control process needs no trainer, no plots, no compiler and no web server."""
    code = "import sys, json, beamctl.run.session; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(answer.stdout)}
    assert loaded & {"torch", "matplotlib", "numba", "fastapi", "stable_baselines3", "gymnasium", "epics"} == set()
