"""What every task promises, and that agents are trained on what they will meet. Seeds are fixed.

The live path (a Gymnasium environment through guard, ramps and BPM medians) and the training path (the batched
environment) must give the same observations and rewards for the same machine and the same actions.
"""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import section_layout
from beamctl.engine.simulated.batch import MachineBatch
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.env.tuning_env import TuningEnv
from beamctl.machine.description import MachineDescription
from beamctl.machine.loader import find_task, known_machines, load_ion, load_machine
from beamctl.task.encoding import SLOTS, Normalisation
from beamctl.task.from_description import orbit_problem, task_correctors
from beamctl.task.problem import OrbitView
from beamctl.training.machines import Site, task_pool
from beamctl.training.rollout import rollout

MACHINES = {m.name: m for m in map(load_machine, known_machines()) if isinstance(m, MachineDescription)}
ALL_TASKS = [(machine, task) for machine, description in MACHINES.items() for task in description.tasks]
CAFE2 = MACHINES["cafe2"]
ION = load_ion(CAFE2.ion)
SITE = Site(CAFE2, ION, ION)


@pytest.mark.parametrize(("machine", "name"), ALL_TASKS)
class TestEveryTask:
    @pytest.fixture
    def description(self, machine):
        return MACHINES[machine]

    @pytest.fixture
    def problem(self, description, name):
        ion = load_ion(description.ion)
        return orbit_problem(description, ion, ion, name)

    def test_correctors_stand_in_one_order_everywhere(self, description, name, problem):
        task = find_task(description, name)
        layout = section_layout(description, task, "P:")
        correctors = task_correctors(description, name)
        assert [k.name for k in layout.knobs] == [c.name for c in correctors] == task.correctors
        assert [k.setpoint for k in layout.knobs] == [f"P:{c.setpoint}" for c in correctors]
        assert problem.n_corrector == len(correctors)
        assert [int(slot) % 2 for slot in problem.slots] == [0 if c.plane == "x" else 1 for c in correctors]

    def test_channels_are_x_and_y_of_each_bpm_along_the_beam(self, description, name, problem):
        task = find_task(description, name)
        layout = section_layout(description, task)
        assert list(layout.channel_names) == [f"{bpm} {plane}" for bpm in task.bpms for plane in "xy"]
        assert problem.n_channel == len(layout.channels)

    def test_the_problem_has_the_limits_that_the_guard_enforces(self, description, name, problem):
        layout = section_layout(description, find_task(description, name))
        for i, knob in enumerate(layout.knobs):
            assert (problem.lo_a[i], problem.hi_a[i], problem.step_a[i]) == (knob.lo, knob.hi, knob.step)
        assert np.all(problem.lo_a < problem.hi_a)
        assert 0 < problem.first_move_a <= problem.step_a.min()
        assert problem.target_mm > 0
        assert problem.max_steps > 0

    def test_the_response_is_of_full_rank(self, problem):
        singular = np.linalg.svd(problem.response_mm_per_a, compute_uv=False)
        assert np.isfinite(problem.response_mm_per_a).all()
        assert len(singular) == min(problem.n_channel, problem.n_corrector)
        assert singular[-1] > 0

    def test_slots_are_the_cells(self, problem):
        assert len(set(problem.slots.tolist())) == problem.n_corrector
        assert problem.slots.min() >= 0
        assert problem.slots.max() < SLOTS

    def test_every_pv_that_a_run_needs_exists(self, description, name):
        channels = {c.pv: c for c in machine_channels(description)}
        layout = section_layout(description, find_task(description, name))
        assert set(layout.all_pvs) <= set(channels)
        assert all(channels[k.setpoint].role is Role.SETPOINT for k in layout.knobs)
        assert all(channels[pv].role is Role.BPM for pv in layout.channels)

    def test_target_and_budget_may_be_overruled(self, description, name):
        ion = load_ion(description.ion)
        problem = orbit_problem(description, ion, ion, name, target_mm=0.3, max_steps=7)
        assert (problem.target_mm, problem.max_steps) == (0.3, 7)


class ThisMachine(MachineBatch):
    """One row that is always the same machine, whatever replaces it."""

    def __init__(self, pool, errors):
        super().__init__(pool, find_scenario(CAFE2, "published"), np.random.default_rng(0), 1, 1)
        self._errors = errors
        self.replace(np.arange(1))

    def replace(self, rows):
        self.place(rows, np.zeros(len(rows), np.int64), self._errors)


def both_paths(task, kind, seed, *, scenario="published", readings=3, **changes):
    """The same machine behind the live path and behind the training path."""
    plant = LinacPlant(CAFE2, (ION, ION), scenario, seed)
    layout = replace(section_layout(CAFE2, find_task(CAFE2, task)), readings=readings)
    engine, problem = SimulatedEngine(plant), orbit_problem(CAFE2, ION, ION, task)
    problem = replace(problem, step_a=np.full(problem.n_corrector, 3.7), **changes)
    live = TuningEnv(lambda: GuardedSection(engine, layout), problem, Normalisation(), kind)
    errors = plant.sections[find_task(CAFE2, task).section].errors
    training = BatchedOrbitEnv(ThisMachine(task_pool(SITE, task), errors), problem, Normalisation(), kind)
    return live, training


class TestTrainingIsWhatWillBeMet:
    @pytest.mark.parametrize("kind", ["normalised", "raw"])
    @pytest.mark.parametrize(("task", "seed"), [("cm1-orbit", 11), ("cm2-orbit", 12), ("cm3-orbit", 13)])
    def test_same_observation_and_reward(self, task, kind, seed):
        live, training = both_paths(task, kind, seed, target_mm=1e-6)
        observation, info = live.reset()
        np.testing.assert_allclose(observation, training.reset()[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(info["setpoint_a"], training.setpoint_a[0])
        rng = np.random.default_rng(seed)
        for _ in range(8):
            action = rng.uniform(-1, 1, len(info["setpoint_a"]))
            observation, reward, terminated, truncated, info = live.step(action.astype(np.float32))
            step = training.step(action.astype(np.float32)[None])
            np.testing.assert_allclose(observation, step.observation[0], rtol=1e-5, atol=1e-5)
            assert reward == pytest.approx(step.reward[0], rel=1e-9, abs=1e-9)
            assert (terminated, truncated) == (step.terminated[0], step.truncated[0]) == (False, False)
            assert info["rms_mm"] == pytest.approx(step.rms_mm[0], rel=1e-9)
            np.testing.assert_allclose(info["setpoint_a"], training.setpoint_a[0], rtol=1e-12)

    def test_same_ends(self):
        """The machine has no error, so that one known action is a success; the other never is."""
        for factor, expected in ((1.0, (True, False)), (-1.0, (False, True))):
            live, training = both_paths("cm1-orbit", "raw", 1, scenario="ideal", target_mm=0.02, max_steps=2)
            live.reset()
            training.reset()
            action = np.full(10, -0.5 * factor * 0.555 / 3.7, np.float32)
            for _ in range(2):
                observation, reward, terminated, truncated, _ = live.step(action)
                step = training.step(action[None])
            assert (terminated, truncated) == expected == (step.terminated[0], step.truncated[0])
            assert reward == pytest.approx(step.reward[0], rel=1e-6)
            np.testing.assert_allclose(observation, step.final_observation[0], atol=1e-5)

    def test_same_limits(self):
        limits = {"lo_a": np.full(10, -3.0), "hi_a": np.full(10, 2.0)}
        live, training = both_paths("cm1-orbit", "raw", 2, target_mm=1e-6, **limits)
        live.reset()
        training.reset()
        for action, held in ((5.0, 2.0), (-5.0, -1.7), (-5.0, -3.0)):
            info = live.step(np.full(10, action, np.float32))[4]
            training.step(np.full((1, 10), action))
            np.testing.assert_allclose(info["setpoint_a"], held)
            np.testing.assert_allclose(training.setpoint_a[0], held)

    @pytest.mark.parametrize("seed", [21, 22])
    def test_the_evaluations_rollout_takes_the_same_steps(self, seed):
        """The same agent on the same machine: judged by a rollout, and step by step through the live path."""
        live, training = both_paths("cm1-orbit", "raw", seed, target_mm=1e-9, max_steps=4)
        problem, agent = training.problem, SvdAgent()
        agent.start(problem)
        result = rollout(agent, training.batch, problem)
        rows, info = live.reset()
        for _ in range(4):
            now = rows[2].astype(float)
            history = np.stack([now - rows[1] - rows[0], now - rows[1], now])
            change = agent.propose(OrbitView(history[None], np.ones((1, 10), bool), info["setpoint_a"][None]))[0]
            rows, _, _, _, info = live.step((change / problem.step_a).astype(np.float32))
        np.testing.assert_allclose(info["setpoint_a"], result.final_setpoint_a[0], atol=1e-4)
