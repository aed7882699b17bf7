"""The envelope of an agent: measured on machines like those in training, kept in its manifest. Seeds are fixed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from beamctl.agent.envelope import Gate
from beamctl.agent.registry import Registry, load_agent, load_manifest, write_manifest
from beamctl.cli import agents as _commands  # noqa: F401  (registers itself)
from beamctl.cli.app import app
from beamctl.settings import Settings
from beamctl.task.encoding import first_history
from beamctl.task.problem import OrbitView
from beamctl.training.envelope import Recorder, conclude, orbit_envelope
from beamctl.training.machines import report_batch
from beamctl.training.rollout import rollout
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

CAFE2 = Deployment(Settings(machine=("cafe2",)))
TASKS = CAFE2.orbit_tasks
N = 100
SHIPPED = Registry().find("cafe2-orbit")


@pytest.fixture(scope="module")
def policy():
    return load_agent(SHIPPED)


@pytest.fixture(scope="module")
def gate(policy):
    return Gate(load_manifest(SHIPPED).envelope, policy.features)


class TestConclude:
    def test_finds_a_known_distribution(self):
        rng = np.random.default_rng(4)
        mix = rng.normal(size=(6, 6))
        seen = (rng.normal(size=(20_000, 6)) @ mix.T + 3.0).reshape(-1, 2, 3)
        envelope = conclude(seen, np.arange(20_000) // 10, 2000)
        gate = Gate(envelope, tuple("abcdef"))
        assert np.mean(gate.distance(seen) > 1.0) < 2e-4
        ends = np.array([envelope.lo, envelope.hi])
        assert ((ends[0] < seen.reshape(-1, 6).min(axis=0)) & (ends[1] > seen.reshape(-1, 6).max(axis=0))).all()
        narrow = np.linalg.svd(mix)[0][:, -1].reshape(1, 2, 3)
        sigmas = np.linalg.svd(mix)[1]
        assert gate.distance(3.0 + 8 * sigmas[-1] * narrow)[0] > 1.0
        assert gate.distance(3.0 + 2 * sigmas[-1] * narrow)[0] < 1.0

    def test_a_feature_that_never_differs_is_no_obstacle(self):
        seen = np.random.default_rng(5).normal(size=(500, 1, 3))
        seen[..., 1] = 0.25
        gate = Gate(conclude(seen, np.arange(500), 500), tuple("abc"))
        assert np.isfinite(gate.distance(seen)).all()
        assert gate.distance(np.array([[[0.0, 0.3, 0.0]]]))[0] > 1.0


class TestShippedEnvelope:
    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("scenario", ["nominal", "err5", "err10", "mis6", "dead"])
    def test_usual_machines_are_inside(self, policy, gate, task, scenario):
        kit = CAFE2.orbit(task)
        recorder = Recorder(policy)
        recorder.start(kit.problem())
        rollout(recorder, report_batch(kit.site(), task, scenario, 21, N), kit.problem())
        outside = gate.distance(recorder.seen) > 1.0
        flagged = len(set(recorder.run[outside]))
        print(f"{task} {scenario}: {outside.sum()} of {len(outside)} observations, {flagged} of {N} runs outside")
        assert recorder.runs == N
        assert flagged <= 2

    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("wrong", [12.0, -15.0, np.nan, np.inf])
    def test_rubbish_is_outside(self, policy, gate, task, wrong):
        problem = CAFE2.orbit(task).problem()
        policy.start(problem)
        mm = np.full((1, problem.n_channel), wrong)
        valid, setpoint = np.ones(mm.shape, bool), np.zeros((1, problem.n_corrector))
        with np.errstate(invalid="ignore"):
            seen = policy.observe(OrbitView(first_history(mm, mm), valid, setpoint)).observation
        assert not gate.distance(seen)[0] <= 1.0
        assert gate.why(seen[0])

    @pytest.mark.parametrize("task", TASKS)
    def test_the_gate_costs_nothing_on_usual_machines(self, policy, task):
        kit = CAFE2.orbit(task)
        results = []
        for agent in (policy, kit.agent()):
            agent.start(kit.problem())
            results.append(rollout(agent, report_batch(kit.site(), task, "err5", 1, N), kit.problem()))
        np.testing.assert_array_equal(results[0].final_setpoint_a, results[1].final_setpoint_a)


class TestRepeated:
    def test_the_same_seed_gives_the_same_envelope(self, policy):
        kit = CAFE2.orbit("cm1-orbit")
        first, again, other = (
            orbit_envelope(kit.site(), [kit.problem()], policy, seed=seed, machines=20) for seed in (3, 3, 4)
        )
        assert first == again != other
        assert first.runs == 100

    @pytest.mark.filterwarnings("ignore")
    def test_the_command_changes_nothing_else(self, tmp_path):
        folder = tmp_path / "copy"
        shutil.copytree(SHIPPED.path, folder)
        sound = load_manifest(SHIPPED)
        agent = replace(SHIPPED, path=folder)
        write_manifest(agent, sound.model_copy(update={"envelope": None}))
        kit = CAFE2.orbit("cm1-orbit")
        assert not hasattr(kit.agent(Choice(agent=str(folder))), "note"), "no envelope, no gate"
        shown = CliRunner().invoke(app, ["--machine", "cafe2", "agents", "show", str(folder)])
        assert "no training envelope" in shown.stderr
        done = CliRunner().invoke(app, ["--machine", "cafe2", "agents", "envelope", str(folder), "--machines", "10"])
        assert done.exit_code == 0, done.output
        now = load_manifest(agent)
        assert now.envelope.runs == 150
        assert now.model_copy(update={"envelope": sound.envelope}) == sound
        assert (folder / "policy.onnx").read_bytes() == (SHIPPED.path / "policy.onnx").read_bytes()
        assert hasattr(kit.agent(Choice(agent=str(folder))), "note")
