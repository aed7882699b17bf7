"""Trains a TBSAC agent: Stable-Baselines3 SAC, the trend network, best checkpoint on fixed machines, export."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from beamctl.agent.manifest import Manifest, TrainingRecord
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.errors import AgentError
from beamctl.task.from_description import orbit_problem
from beamctl.training.export import code_revision, export_agent, policy_module
from beamctl.training.machines import Site, preset_problem, selection_batch, training_batch
from beamctl.training.network import TrendExtractor
from beamctl.training.presets import Preset
from beamctl.training.rollout import rollout
from beamctl.training.vec_env import BatchVecEnv

DEEP_TARGET_MM = 0.2
"""checkpoints are also judged by how well they go on to this RMS"""
CHECKPOINT = "checkpoint.zip"


@dataclass(frozen=True)
class Look:
    """One look at the fixed machines.

    Attributes:
        updates, cpu_s: when.
        success: share below the target within the budget, nominal machines, mean over the tasks looked at.
        deep_success: share below 0.2 mm, err5 machines.
        steps: mean number of steps to the target.
        final_rms_mm: mean true RMS where the runs stopped.
    """

    updates: int
    cpu_s: float
    success: float
    deep_success: float
    steps: float
    final_rms_mm: float

    @property
    def score(self) -> tuple[float, float]:
        """Order of checkpoints: the target first (99.5 % and more are equal), then depth, steps and RMS together."""
        return min(self.success, 0.995), self.deep_success - 0.02 * self.steps - self.final_rms_mm


@dataclass(frozen=True)
class TrainingResult:
    """What training gave.

    Attributes:
        folder: where ``policy.onnx`` and ``manifest.json`` lie.
        manifest: of the exported agent.
        best: the exported checkpoint.
        looks: all looks.
        cpu_s_to_99: processor seconds until 99 % of the nominal machines were brought below the target; None: never.
    """

    folder: Path
    manifest: Manifest
    best: Look
    looks: tuple[Look, ...]
    cpu_s_to_99: float | None


Progress = Callable[[int, int, Look | None], None]
"""called with updates done, updates in all, and the newest look"""


def make_model(preset: Preset, env: VecEnv, seed: int, log_folder: Path | None) -> SAC:
    """SAC as the preset says."""
    return SAC(
        "MlpPolicy",
        env,
        learning_rate=lambda left: preset.learning_rate_end + left * (preset.learning_rate - preset.learning_rate_end),
        buffer_size=preset.buffer_size,
        learning_starts=preset.learning_starts,
        batch_size=preset.batch_size,
        tau=preset.tau,
        gamma=preset.gamma,
        ent_coef=f"auto_{preset.initial_temperature}",
        train_freq=1,
        gradient_steps=preset.gradient_steps,
        policy_kwargs={"net_arch": list(preset.net), "features_extractor_class": TrendExtractor},
        tensorboard_log=None if log_folder is None else str(log_folder / "tensorboard"),
        seed=seed,
        device="cpu",
    )


def train(
    site: Site,
    task_name: str,
    preset: Preset,
    seed: int,
    folder: Path,
    *,
    agent_id: str,
    machine_hash: str,
    progress: Progress = lambda *_: None,
    resume: bool = False,
) -> TrainingResult:
    """Train in the batched simulator and export the best checkpoint.

    Args:
        site: machine and ions.
        task_name: whose module is trained on (``task`` presets) and whose fixed machines are looked at; presets on
            virtual modules are looked at on all tasks of the machine.
        preset: configuration.
        seed: of machines, exploration and weights.
        folder: results, TensorBoard log and checkpoint.
        agent_id: name of the agent.
        machine_hash: of the task's section; raw agents are bound to it.
        progress: told of each look.
        resume: go on from the folder's checkpoint, which is written at every look (the replay buffer starts empty).

    Raises:
        AgentError: there is no checkpoint to resume from.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    batch, problem = training_batch(site, task_name, preset, seed)
    env = BatchVecEnv(BatchedOrbitEnv(batch, problem, preset.normalisation, preset.observation))
    model = load_checkpoint(folder, env) if resume else make_model(preset, env, seed, folder)
    tasks = list(site.machine.tasks) if preset.modules == "virtual" else [task_name]
    keeper = CheckpointKeeper(preset, lambda agent: look_at(site, tasks, preset, agent), progress, folder / CHECKPOINT)
    steps_left = max(_env_steps(preset) - (model.num_timesteps if resume else 0), 0)
    model.learn(steps_left, callback=keeper, log_interval=50, reset_num_timesteps=not resume)
    best = keeper.restore_best()
    record = TrainingRecord(
        preset=preset.name,
        configuration=plain(asdict(preset)),
        seed=seed,
        updates=best.updates,
        cpu_s=round(best.cpu_s, 1),
        code_revision=code_revision(),
        selection={k: float(round(v, 4)) for k, v in asdict(best).items()},
    )
    manifest = export_agent(
        model, preset, folder, agent_id=agent_id, machine=site.machine.name,
        machine_hash=machine_hash if preset.observation == "raw" else None, record=record,
    )  # fmt: skip
    looks = tuple(keeper.looks)
    (folder / "looks.json").write_text(json.dumps([asdict(one) for one in looks], indent=1) + "\n")
    reached = (one.cpu_s for one in looks if one.success >= 0.99)
    return TrainingResult(folder, manifest, best, looks, next(reached, None))


def load_checkpoint(folder: Path, env: VecEnv) -> SAC:
    """The model of an interrupted training.

    Raises:
        AgentError: the folder has none.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise AgentError(f"nothing to resume: {checkpoint} does not exist; start without --resume")
    return SAC.load(checkpoint, env=env, device="cpu")


def look_at(site: Site, tasks: list[str], preset: Preset, agent: TrendPolicyAgent) -> tuple[float, float, float, float]:
    """Success, success at 0.2 mm, mean steps and mean final RMS (mm) on the fixed machines."""
    rows = []
    for task in tasks:
        base = replace(
            preset_problem(site, task, preset),
            target_mm=orbit_problem(site.machine, site.design, site.ion, task).target_mm,
        )
        agent.start(base)
        normal = rollout(agent, selection_batch(site, task, preset.selection[0]), base)
        deep = rollout(agent, selection_batch(site, task, preset.selection[1]), replace(base, target_mm=DEEP_TARGET_MM))
        rows.append((normal.reached.mean(), deep.reached.mean(), normal.steps.mean(), normal.final_true.mean()))
    success, deep_success, steps, final = np.mean(rows, axis=0)
    return float(success), float(deep_success), float(steps), float(final)


class CheckpointKeeper(BaseCallback):
    """Looks at the fixed machines now and then, keeps the best actor, ends training when the budget is spent.

    What is judged and kept is a running average of the actor's weights: single checkpoints of SAC differ widely in how
    precisely they centre the beam, their average does not.

    Args:
        preset: budget and interval.
        look: judges an agent.
        progress: told of each look.
        checkpoint: where the model is saved at each look; None: nowhere.
    """

    def __init__(
        self,
        preset: Preset,
        look: Callable[[TrendPolicyAgent], tuple[float, float, float, float]],
        progress: Progress,
        checkpoint: Path | None = None,
    ) -> None:
        super().__init__()
        self._preset = preset
        self._checkpoint = checkpoint
        self._due = preset.evaluate_every
        self._look = look
        self._progress = progress
        self._best: tuple[Look, Mapping[str, torch.Tensor]] | None = None
        self._average: dict[str, torch.Tensor] = {}
        self.looks: list[Look] = []
        self._training_cpu_s = 0.0
        self._since = time.process_time()

    def _on_training_start(self) -> None:
        self._due = int(self.model._n_updates) + self._preset.evaluate_every
        self._since = time.process_time()

    def _on_step(self) -> bool:
        updates = int(self.model._n_updates)
        self._follow(updates)
        if updates >= self._due:
            self._due += self._preset.evaluate_every
            self._training_cpu_s += time.process_time() - self._since
            self._judge(updates)
            if self._checkpoint is not None:
                self.model.save(self._checkpoint)
            self._since = time.process_time()
        return updates < self._preset.updates

    def _follow(self, updates: int) -> None:
        """Let the average follow the actor; nothing to follow before the first update."""
        if updates == 0:
            return
        share = min(1.0, self._preset.gradient_steps / self._preset.average_updates) if self._average else 1.0
        for name, value in self.model.policy.actor.state_dict().items():
            if name in self._average and value.is_floating_point():
                self._average[name].lerp_(value, share)
            else:
                self._average[name] = value.clone()

    def _judge(self, updates: int) -> None:
        actor = self.model.policy.actor
        own = {k: v.clone() for k, v in actor.state_dict().items()}
        actor.load_state_dict(self._average or own)
        now = Look(updates, self._training_cpu_s, *self._look(policy_agent(self.model, self._preset)))
        self.looks.append(now)
        self.logger.record("fixed_machines/success", now.success)
        self.logger.record("fixed_machines/success_at_0.2_mm", now.deep_success)
        self.logger.record("fixed_machines/final_rms_mm", now.final_rms_mm)
        if self._best is None or now.score > self._best[0].score:
            self._best = (now, {k: v.clone() for k, v in actor.state_dict().items()})
        actor.load_state_dict(own)
        self._progress(min(updates, self._preset.updates), self._preset.updates, now)

    def restore_best(self) -> Look:
        """Put the best weights back into the model."""
        if self._best is None:
            self._judge(int(self.model._n_updates))
        if self._best is None:
            raise RuntimeError("no checkpoint was judged")
        self.model.policy.actor.load_state_dict(self._best[1])
        return self._best[0]


def policy_agent(model: SAC, preset: Preset) -> TrendPolicyAgent:
    """The model's present policy as an agent, run by torch."""
    module = policy_module(model, preset)

    def infer(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(module(torch.as_tensor(observation)).numpy())

    return TrendPolicyAgent(
        "in training", infer, preset.observation, preset.normalisation, columns=int(model.observation_space.shape[1])
    )


def _env_steps(preset: Preset) -> int:
    """Environment steps that hold the budget of updates; the keeper ends training earlier if need be."""
    rounds = -(-preset.updates // preset.gradient_steps) + 2
    return preset.learning_starts + rounds * preset.n_envs + preset.n_envs


def plain(value: object) -> dict[str, object]:
    """A configuration as JSON would give it back."""
    plain: dict[str, object] = json.loads(json.dumps(value))
    return plain
