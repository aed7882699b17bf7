"""Soft actor-critic on a batched environment, whatever the task: learn, look, keep the best, export."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from beamctl.agent.manifest import Manifest, TrainingRecord
from beamctl.errors import AgentError
from beamctl.training.export import code_revision
from beamctl.training.network import TrendExtractor
from beamctl.training.presets import SacPreset

CHECKPOINT = "checkpoint.zip"


class AnyLook(Protocol):
    """One look at the fixed machines; a dataclass of numbers.

    Attributes:
        updates, cpu_s: when.
        success: share of the machines that reached the goal.
        score: order of checkpoints.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def updates(self) -> int: ...  # noqa: D102

    @property
    def cpu_s(self) -> float: ...  # noqa: D102

    @property
    def success(self) -> float: ...  # noqa: D102

    @property
    def score(self) -> tuple[float, ...]: ...  # noqa: D102


L = TypeVar("L", bound=AnyLook)
Progress = Callable[[int, int, L | None], None]
"""called with updates done, updates in all, and the newest look"""
Judge = Callable[[SAC, int, float], L]


@dataclass(frozen=True)
class TrainingResult(Generic[L]):
    """What training gave.

    Attributes:
        folder: where ``policy.onnx`` and ``manifest.json`` lie.
        manifest: of the exported agent.
        best: the exported checkpoint.
        looks: all looks.
    """

    folder: Path
    manifest: Manifest
    best: L
    looks: tuple[L, ...]

    @property
    def cpu_s_to_99(self) -> float | None:
        """Processor seconds until 99 % of the fixed machines reached the goal; None: never."""
        return next((one.cpu_s for one in self.looks if one.success >= 0.99), None)


def learn(
    preset: SacPreset,
    env: VecEnv,
    seed: int,
    folder: Path,
    judge: Judge[L],
    export: Callable[[SAC, TrainingRecord], Manifest],
    *,
    progress: Progress[L],
    resume: bool,
) -> TrainingResult[L]:
    """Spend the budget of updates, export the best checkpoint.

    Args:
        preset: configuration.
        env: the training environment.
        seed: of exploration and weights; written down as that of the machines, too.
        folder: results, TensorBoard log and checkpoint.
        judge: looks at the fixed machines.
        export: writes the agent.
        progress: told of each look.
        resume: go on from the folder's checkpoint, which is written at every look (the replay buffer starts empty).

    Raises:
        AgentError: there is no checkpoint to resume from.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    model = load_checkpoint(folder, env) if resume else make_model(preset, env, seed, folder)
    keeper = CheckpointKeeper(preset, judge, progress, folder / CHECKPOINT)
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
    manifest = export(model, record)
    looks = tuple(keeper.looks)
    (folder / "looks.json").write_text(json.dumps([asdict(one) for one in looks], indent=1) + "\n")
    return TrainingResult(folder, manifest, best, looks)


def make_model(preset: SacPreset, env: VecEnv, seed: int, log_folder: Path | None) -> SAC:
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


def load_checkpoint(folder: Path, env: VecEnv) -> SAC:
    """The model of an interrupted training.

    Raises:
        AgentError: the folder has none.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise AgentError(f"nothing to resume: {checkpoint} does not exist; start without --resume")
    return SAC.load(checkpoint, env=env, device="cpu")


class CheckpointKeeper(BaseCallback, Generic[L]):
    """Looks at the fixed machines now and then, keeps the best actor, ends training when the budget is spent.

    What is judged and kept is a running average of the actor's weights: single checkpoints of SAC differ widely in how
    well they end, their average does not.

    Args:
        preset: budget and interval.
        judge: looks at the fixed machines with the model's present actor; told of updates and processor seconds so far.
        progress: told of each look.
        checkpoint: where the model is saved at each look; None: nowhere.
    """

    def __init__(
        self,
        preset: SacPreset,
        judge: Judge[L],
        progress: Progress[L],
        checkpoint: Path | None = None,
    ) -> None:
        super().__init__()
        self._preset = preset
        self._checkpoint = checkpoint
        self._due = preset.evaluate_every
        self._look = judge
        self._progress = progress
        self._best: tuple[L, Mapping[str, torch.Tensor]] | None = None
        self._average: dict[str, torch.Tensor] = {}
        self.looks: list[L] = []
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
        now = self._look(self.model, updates, self._training_cpu_s)
        self.looks.append(now)
        for name, value in asdict(now).items():
            self.logger.record(f"fixed_machines/{name}", value)
        if self._best is None or now.score > self._best[0].score:
            self._best = (now, {k: v.clone() for k, v in actor.state_dict().items()})
        actor.load_state_dict(own)
        self._progress(min(updates, self._preset.updates), self._preset.updates, now)

    def restore_best(self) -> L:
        """Put the best weights back into the model."""
        if self._best is None:
            self._judge(int(self.model._n_updates))
        if self._best is None:
            raise RuntimeError("no checkpoint was judged")
        self.model.policy.actor.load_state_dict(self._best[1])
        return self._best[0]


def _env_steps(preset: SacPreset) -> int:
    """Environment steps that hold the budget of updates; the keeper ends training earlier if need be."""
    rounds = -(-preset.updates // preset.gradient_steps) + 2
    return preset.learning_starts + rounds * preset.n_envs + preset.n_envs


def plain(value: object) -> dict[str, object]:
    """A configuration as JSON would give it back."""
    plain: dict[str, object] = json.loads(json.dumps(value))
    return plain
