"""A whole training in small: it ends, exports, goes on, and is the same for the same seed. Seeds are fixed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from beamctl.agent.registry import AgentFolder, Registry, load_agent, verified_policy
from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.errors import AgentError, IncompatibleAgentError
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitView
from beamctl.training.export import golden_observations, policy_module
from beamctl.training.learner import CHECKPOINT, CheckpointKeeper, make_model
from beamctl.training.machines import training_batch
from beamctl.training.train import orbit_judge, train
from beamctl.training.vec_env import BatchVecEnv

HASH = "c" * 64


def trained_in_memory(site, preset, seed=5):
    """The steps of a training without its export: the model with its best weights."""
    batch, problem = training_batch(site, "cm1-orbit", preset, seed)
    env = BatchVecEnv(BatchedOrbitEnv(batch, problem, preset.normalisation, preset.observation))
    model = make_model(preset, env, seed, None)
    tasks = list(site.machine.tasks) if preset.modules == "virtual" else ["cm1-orbit"]
    keeper = CheckpointKeeper(preset, orbit_judge(site, tasks, preset), lambda *_: None)
    model.learn(10_000, callback=keeper)
    keeper.restore_best()
    return model


@pytest.fixture(scope="module")
def small_training(site, tmp_path_factory):
    def run(preset, seed=5, folder=None, **arguments):
        folder = folder or tmp_path_factory.mktemp("agent")
        return train(
            site, "cm1-orbit", preset, seed, folder,
            agent_id="small", machine_hash=HASH, envelope_machines=20, **arguments,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def raw(small_training, small_raw):
    return small_training(small_raw)


@pytest.fixture(scope="module")
def fast(small_training, small_fast):
    looks = []
    result = small_training(small_fast, progress=lambda *told: looks.append(told))
    return result, looks


class TestExport:
    @pytest.mark.parametrize("name", ["raw", "fast"])
    def test_the_same_seed_gives_the_same_agent_in_torch_and_in_onnx(self, request, site, name):
        """The exported agent of one run against the model of another."""
        preset, result = request.getfixturevalue(f"small_{name}"), request.getfixturevalue(name)
        result = result[0] if name == "fast" else result
        module = policy_module(trained_in_memory(site, preset), preset)
        infer = verified_policy(AgentFolder("small", result.folder), result.manifest)
        for n in (1, 7, 64):
            torch.manual_seed(n)
            observation = 3 * torch.randn(n, 3, 10)
            with torch.no_grad():
                expected = module(observation).numpy()
            np.testing.assert_allclose(infer(observation.numpy()), expected, atol=1e-5)
            assert np.abs(expected).max() > 0.01

    def test_row_i_of_a_batch_is_a_solo_run(self, raw):
        infer = verified_policy(AgentFolder("small", raw.folder), raw.manifest)
        observation = np.random.default_rng(0).normal(size=(64, 3, 10)).astype(np.float32)
        together = infer(observation)
        for i in range(0, 64, 9):
            np.testing.assert_allclose(infer(observation[i : i + 1])[0], together[i], atol=1e-6)

    def test_golden_observations_never_change(self):
        golden = golden_observations(10)
        assert golden.shape == (8, 3, 10)
        np.testing.assert_array_equal(golden, golden_observations(10))
        np.testing.assert_allclose(golden[0, 0, :3], [-0.0043, 0.0075, 0.02], atol=1e-6)


class TestRun:
    def test_ends_within_its_budget_and_looks_on_the_way(self, fast, small_fast):
        result, told = fast
        assert [look.updates for look in result.looks] == [120, 240]
        assert [(done, total, look) for done, total, look in told] == [(k.updates, 240, k) for k in result.looks]
        assert result.best in result.looks
        assert result.best.score == max(look.score for look in result.looks)
        assert json.loads((result.folder / "looks.json").read_text())[0]["updates"] == 120
        assert small_fast.updates == 240

    def test_exports_an_agent_that_loads_and_proposes(self, fast, site):
        result, _ = fast
        agent = load_agent(Registry([result.folder.parent]).find(str(result.folder)), machine_hash="d" * 64)
        for task, k in (("cm1-orbit", 10), ("cm2-orbit", 8)):
            problem = orbit_problem(site.machine, site.design, site.ion, task)
            agent.start(problem)
            view = OrbitView(np.ones((3, 3, k)), np.ones((3, k), bool), np.zeros((3, k)))
            change = agent.propose(view)
            assert change.shape == (3, k)
            assert np.abs(change).max() <= problem.step_a[0]

    def test_the_manifest_says_how_it_came_about(self, fast, small_fast):
        manifest = fast[0].manifest
        assert (manifest.envelope.runs, len(manifest.envelope.mean)) == (3 * 5 * 20, 30)
        assert (manifest.id, manifest.machine, manifest.machine_hash) == ("small", "cafe2", None)
        assert (manifest.observation.kind, manifest.observation.columns, manifest.actions) == ("normalised", 10, 10)
        assert (manifest.training.preset, manifest.training.seed) == ("fast", 5)
        assert manifest.training.updates == fast[0].best.updates
        assert manifest.training.configuration["updates"] == small_fast.updates
        assert manifest.training.configuration["net"] == [16, 16]
        assert len(manifest.golden.actions) == 8

    def test_an_agent_of_raw_readings_is_bound_to_its_machine(self, raw):
        assert raw.manifest.machine_hash == HASH
        assert raw.manifest.step_units == 1.0
        agent = AgentFolder("small", raw.folder)
        load_agent(agent, HASH, unit_share=1.85 / 15.0)
        with pytest.raises(IncompatibleAgentError, match="bound"):
            load_agent(agent, "d" * 64)

    def test_what_is_exported_is_the_best_average_not_the_last_actor(self, fast, small_fast):
        result, _ = fast
        last = policy_module(SAC.load(result.folder / CHECKPOINT, device="cpu"), small_fast)
        golden = torch.as_tensor(golden_observations(10))
        with torch.no_grad():
            assert not np.allclose(last(golden).numpy(), result.manifest.golden.actions, atol=1e-3)


class TestSeeds:
    def test_another_seed_gives_another_agent(self, site, small_raw):
        preset, policies = replace(small_raw, updates=8, evaluate_every=1000), []
        for seed in (1, 2):
            batch, problem = training_batch(site, "cm1-orbit", preset, seed)
            env = BatchVecEnv(BatchedOrbitEnv(batch, problem, preset.normalisation, preset.observation))
            policies.append(policy_module(make_model(preset, env, seed, None), preset))
        golden = torch.as_tensor(golden_observations(10))
        assert not torch.allclose(policies[0](golden), policies[1](golden), atol=0.05)


class TestResume:
    def test_says_that_there_is_nothing_to_resume(self, small_training, small_raw, tmp_path):
        with pytest.raises(AgentError, match="nothing to resume"):
            small_training(small_raw, folder=tmp_path, resume=True)

    def test_goes_on_from_the_checkpoint(self, raw, small_training, small_raw, tmp_path):
        shutil.copy(raw.folder / CHECKPOINT, tmp_path / CHECKPOINT)
        result = small_training(replace(small_raw, updates=360), folder=tmp_path, resume=True)
        assert [look.updates for look in result.looks][-1] == 360
        assert min(look.updates for look in result.looks) >= 240
        model = SAC.load(tmp_path / CHECKPOINT, device="cpu")
        assert model._n_updates >= 360
        load_agent(AgentFolder("small", tmp_path), HASH)
