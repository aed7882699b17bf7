"""The live path as a Gymnasium environment, over the in-process machine. Seeds are fixed."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as stable_baselines_check

from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import section_layout
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.env.tuning_env import TuningEnv
from beamctl.errors import NotSimulatedError, SetpointLimitError
from beamctl.machine.loader import find_task, load_ion, load_machine
from beamctl.settings import Settings
from beamctl.task.encoding import Normalisation
from beamctl.task.from_description import orbit_problem
from beamctl.training.presets import AS_PUBLISHED, FAST
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import simulated_environment

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
SEED_PV = MACHINE.simulation.seed
KINDS = ["normalised", "raw"]


class Bench:
    """A simulated machine, an environment on it, and what was written."""

    def __init__(self, scenario="published", kind="normalised", seed=1, task="cm1-orbit", *, redraws=True, **changes):
        self.engine = SimulatedEngine(LinacPlant(MACHINE, (ION, ION), scenario, seed))
        self.engine.start([SEED_PV])
        self.layout = replace(section_layout(MACHINE, find_task(MACHINE, task)), readings=1, settle_s=0.1)
        self.problem = orbit_problem(MACHINE, ION, ION, task)
        self.problem = replace(self.problem, **{"step_a": np.full(self.problem.n_corrector, 1.85), **changes})
        self.guards = []
        redraw = (lambda seed: self.engine.write({SEED_PV: float(seed)})) if redraws else None
        self.env = TuningEnv(self.guard, self.problem, Normalisation(), kind, redraw)

    def guard(self):
        self.guards.append(GuardedSection(self.engine, self.layout))
        return self.guards[-1]

    def setpoints(self):
        return np.array([self.engine.plant.setpoint(k.setpoint) for k in self.layout.knobs])

    def section(self):
        return self.engine.plant.sections["cm1"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", ["published", "err5"])
@pytest.mark.filterwarnings("ignore:.*Box observation space m.* value is")
def test_gymnasium_finds_nothing_wrong(scenario, kind):
    gymnasium_check(Bench(scenario, kind).env, skip_render_check=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Your observation  has an unconventional shape")
def test_stable_baselines_finds_nothing_wrong(kind):
    stable_baselines_check(Bench("err5", kind).env)


@pytest.mark.parametrize(("task", "knobs", "channels"), [("cm1-orbit", 10, 10), ("cm2-orbit", 8, 8)])
@pytest.mark.parametrize("kind", KINDS)
def test_spaces(task, knobs, channels, kind):
    env = Bench(kind=kind, task=task).env
    assert env.observation_space.shape == (3, 10 if kind == "normalised" else channels)
    assert env.action_space.shape == (knobs,)
    assert (env.observation_space.dtype, env.action_space.dtype) == (np.float32, np.float32)


def test_reset_reads_moves_every_corrector_a_little_and_reads_again():
    bench = Bench(kind="raw")
    before = bench.section().true_orbit_mm()
    observation, info = Bench(kind="raw", redraws=False).env.reset()
    after = before + bench.section().orbits.response_m_per_a[0] @ np.full(10, 0.555) * 1e3
    np.testing.assert_allclose(observation, [np.zeros(10), after - before, after], atol=1e-5)
    np.testing.assert_allclose(info["setpoint_a"], 0.555)
    np.testing.assert_allclose(info["orbit_mm"], after, atol=1e-9)
    assert info["rms_mm"] == pytest.approx(np.sqrt(np.mean(after**2)))


def test_an_action_of_one_is_a_full_step_of_the_problem():
    bench = Bench(kind="raw", redraws=False)
    bench.env.reset()
    action = np.array([1, -1, 0.5, 0, 7, -7, 0.1, 0.2, 0.3, 0.4], np.float32)
    observation, _, _, _, info = bench.env.step(action)
    np.testing.assert_allclose(bench.setpoints(), 0.555 + 1.85 * np.clip(action, -1, 1), rtol=1e-6)
    np.testing.assert_allclose(info["setpoint_a"], bench.setpoints())
    np.testing.assert_allclose(observation[2], bench.section().true_orbit_mm(), atol=1e-5)


def test_setpoints_stop_at_their_limits():
    bench = Bench("ideal", redraws=False, lo_a=np.full(10, -1.0), hi_a=np.full(10, 2.0), target_mm=0.01)
    bench.env.reset()
    for _ in range(2):
        bench.env.step(np.ones(10, np.float32))
    np.testing.assert_allclose(bench.setpoints(), 2.0)


class TestReward:
    def test_of_a_step_and_of_success(self):
        """The machine has no error: back to zero current is back to the centre."""
        bench = Bench("ideal", "raw", redraws=False, target_mm=0.01, max_steps=9)
        _, info = bench.env.reset()
        half = np.full(10, -0.5 * 0.555 / 1.85, np.float32)
        _, reward, terminated, truncated, now = bench.env.step(half)
        assert now["rms_mm"] == pytest.approx(info["rms_mm"] / 2, rel=1e-5)
        assert reward == pytest.approx(-now["rms_mm"] + 0.4 * 0.1, rel=1e-5)  # all ten fell: D = 0.1
        assert (terminated, truncated) == (False, False)
        _, reward, terminated, truncated, now = bench.env.step(half)
        assert reward == pytest.approx(0.04 + 50 + 3 * 7, abs=1e-5)
        assert (terminated, truncated) == (True, False)
        assert now["rms_mm"] < 1e-5

    def test_a_spent_budget_truncates_and_gives_no_bonus(self):
        bench = Bench(kind="raw", max_steps=3, target_mm=1e-6)
        bench.env.reset(seed=1)
        ends = [bench.env.step(np.full(10, 0.01, np.float32))[1:4] for _ in range(3)]
        assert [(terminated, truncated) for _, terminated, truncated in ends] == [(False, False)] * 2 + [(False, True)]
        assert all(reward < 0 for reward, _, _ in ends)

    def test_success_in_the_last_step_is_success(self):
        bench = Bench("ideal", redraws=False, max_steps=1, target_mm=0.01)
        bench.env.reset()
        _, reward, terminated, truncated, _ = bench.env.step(np.full(10, -0.555 / 1.85, np.float32))
        assert (terminated, truncated) == (True, False)
        assert reward == pytest.approx(50.04, abs=1e-4)


class TestMachine:
    def test_the_seed_of_a_reset_chooses_the_machine(self):
        env = Bench().env
        first, second, again = env.reset(seed=5)[0], env.reset()[0], env.reset(seed=5)[0]
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, second)

    def test_one_machine_may_be_asked_for(self):
        bench = Bench("err5")
        bench.env.reset(options={"machine_seed": 42})
        np.testing.assert_array_equal(
            bench.section().errors.solenoid_offset_m,
            Bench("err5", seed=42).section().errors.solenoid_offset_m,
        )

    def test_without_redraw_the_machine_stays(self):
        bench = Bench("err5", redraws=False, seed=3)
        before = bench.section().errors
        bench.env.reset(seed=9)
        assert bench.section().errors is before
        assert bench.engine.plant.seed == 3

    def test_every_reset_arms_a_new_guard_which_writes_all_there_is_to_write(self):
        bench = Bench()
        bench.env.reset(seed=1)
        bench.env.step(np.full(10, 0.5, np.float32))
        bench.env.reset()
        assert len(bench.guards) == 2
        assert bench.guards[0].writes == 2 * 10
        assert bench.guards[1].writes == 10


class TestTrouble:
    def test_step_before_reset(self):
        with pytest.raises(gymnasium.error.ResetNeeded):
            Bench().env.step(np.zeros(10, np.float32))

    def test_nan_moves_nothing_and_does_no_lasting_harm(self):
        bench = Bench(redraws=False)
        bench.env.reset()
        before = bench.setpoints()
        with pytest.raises(SetpointLimitError):
            bench.env.step(np.full(10, np.nan, np.float32))
        np.testing.assert_array_equal(bench.setpoints(), before)
        bench.env.step(np.full(10, 0.1, np.float32))
        assert np.isfinite(bench.setpoints()).all()

    def test_without_permit_nothing_moves_and_the_episode_ends(self):
        bench = Bench(redraws=False)
        last, _ = bench.env.reset()
        before = bench.setpoints()
        bench.engine.write({MACHINE.permit: 0.0})
        observation, reward, terminated, truncated, info = bench.env.step(np.full(10, 0.5, np.float32))
        np.testing.assert_array_equal(bench.setpoints(), before)
        np.testing.assert_array_equal(observation, last)
        assert (reward, terminated, truncated) == (-MACHINE.types.bpm.valid.hi, True, False)
        assert MACHINE.permit in info["fault"]

    def test_an_orbit_that_cannot_be_read_ends_the_episode(self):
        bench = Bench(redraws=False)
        bench.env.reset()
        bench.engine.faults.not_finite.add(bench.layout.channels[0])
        _, reward, terminated, truncated, info = bench.env.step(np.full(10, 0.5, np.float32))
        assert (reward, terminated, truncated) == (-MACHINE.types.bpm.valid.hi, True, False)
        assert "BPM_06 x" in info["fault"]
        with pytest.raises(gymnasium.error.ResetNeeded):
            bench.env.step(np.zeros(10, np.float32))
        bench.engine.faults.not_finite.clear()
        assert np.isfinite(bench.env.reset()[0]).all()

    def test_a_dead_bpm_is_left_out_of_reward_and_observation(self):
        bench = Bench("published", "normalised", redraws=False)
        bench.engine.faults.invalid.update(bench.layout.channels[2:4])
        observation, info = bench.env.reset()
        alive = np.delete(bench.section().true_orbit_mm(), [2, 3])
        assert info["rms_mm"] == pytest.approx(np.sqrt(np.mean(alive**2)))
        assert np.isfinite(observation).all()
        assert not info["orbit_mm"][2:4].any()


class TestWiring:
    @pytest.fixture
    def deployment(self, tmp_path):
        return Deployment(Settings(machine=("cafe2",), ion=None, prefix="", agents=tmp_path)).orbit("cm1-orbit")

    @pytest.mark.parametrize(("preset", "step"), [(FAST, 15.0), (AS_PUBLISHED, 1.85)])
    def test_a_preset_makes_an_environment_of_its_own_kind(self, deployment, preset, step):
        engine = SimulatedEngine(LinacPlant(MACHINE, (ION, ION), "published", 1))
        env = simulated_environment(deployment, engine, preset, 5.0)
        _, info = env.reset(seed=1)
        action = np.zeros(10, np.float32)
        action[0] = 1.0
        before = info["setpoint_a"]
        after = env.step(action)[4]["setpoint_a"]
        assert (after - before)[0] == pytest.approx(step)

    def test_a_machine_that_does_not_say_that_it_is_simulated_is_left_alone(self, deployment):
        live = MACHINE.model_copy(
            update={"identity": MACHINE.identity.model_copy(update={"simulated": MACHINE.identity.live})}
        )
        engine = SimulatedEngine(LinacPlant(live, (ION, ION), "published", 1))
        with pytest.raises(NotSimulatedError, match="'CAFE2'"):
            simulated_environment(deployment, engine, FAST, 5.0)
        assert engine.clock.now() == 0.0
