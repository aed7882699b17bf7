"""Whole runs against a machine that misbehaves and agents that mean harm; the judge is the machine's log of puts."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import (
    AgentError,
    ChannelConnectionError,
    PermitLostError,
    StaleReadingError,
)
from beamctl.run.events import Advice, Armed, Outcome, Restored, Stepped
from beamctl.run.orbit_course import NO_GAIN_STEPS
from tests.safety.scenes import after_step, is_restored, of

ROOT = Path(__file__).parents[3]
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.just(float("1e400")) | st.floats(-30, 30)


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


def test_a_run_loads_nothing_heavy():
    """Import has no weight: a control process needs no trainer, no plots, no compiler and no web server."""
    code = "import sys, json, beamctl.run.session; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(answer.stdout)}
    assert loaded & {"torch", "matplotlib", "numba", "fastapi", "stable_baselines3", "gymnasium", "epics"} == set()
