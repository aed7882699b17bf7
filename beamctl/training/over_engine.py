"""Trains over an engine, one machine at a time: slow, and only where the machine says that it is simulated.

Who builds the environment has checked that (:func:`beamctl.wiring.simulated_environment`); the point is to show that
the live path gives the agent the same observations and rewards as the batched simulator.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from beamctl.agent.envelope import Envelope
from beamctl.agent.manifest import Manifest, TrainingRecord
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.env.tuning_env import TuningEnv
from beamctl.training.export import code_revision, export_agent
from beamctl.training.learner import Progress, make_model, plain
from beamctl.training.presets import Preset
from beamctl.training.train import Look, policy_agent


class _Reporter(BaseCallback):
    def __init__(self, steps: int, progress: Progress[Look]) -> None:
        super().__init__()
        self._steps = steps
        self._progress = progress

    def _on_step(self) -> bool:
        self._progress(self.num_timesteps, self._steps, None)
        return True


def train_over_engine(
    env: TuningEnv,
    preset: Preset,
    seed: int,
    folder: Path,
    steps: int,
    *,
    agent_id: str,
    machine: str,
    machine_hash: str,
    measure: Callable[[TrendPolicyAgent], Envelope | None] = lambda _: None,
    progress: Progress[Look] = lambda *_: None,
) -> Manifest:
    """Train for ``steps`` environment steps and export what has been learned.

    Args:
        env: over a simulated machine.
        preset: SAC configuration; its number of environments is one here, its random steps at most a tenth.
        seed: of exploration, weights and machines.
        folder: results.
        steps: environment steps.
        agent_id, machine, machine_hash: for the manifest.
        measure: the envelope of what was trained.
        progress: told of each step.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    own = replace(preset, n_envs=1, gradient_steps=1, learning_starts=min(preset.learning_starts, steps // 10))
    started = time.process_time()
    model = make_model(own, DummyVecEnv([lambda: Monitor(env)]), seed, folder)
    model.learn(steps, callback=_Reporter(steps, progress), log_interval=10)
    record = TrainingRecord(
        preset=f"{preset.name}, over Channel Access",
        configuration=plain(asdict(own)),
        seed=seed,
        updates=int(model._n_updates),
        cpu_s=round(time.process_time() - started, 1),
        code_revision=code_revision(),
        selection={},
    )
    bound = machine_hash if preset.observation == "raw" else None
    return export_agent(
        model, own, folder,
        agent_id=agent_id, machine=machine, machine_hash=bound, record=record,
        envelope=measure(policy_agent(model, own)),
    )  # fmt: skip
