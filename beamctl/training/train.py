"""Trains a TBSAC agent for the orbit in the batched simulator."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from stable_baselines3 import SAC

from beamctl.agent.manifest import Manifest, TrainingRecord
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitProblem
from beamctl.training.envelope import MACHINES, orbit_envelope
from beamctl.training.export import export_agent, inference, policy_module
from beamctl.training.learner import Judge, Progress, TrainingResult, learn
from beamctl.training.machines import Site, preset_problem, selection_batch, training_batch
from beamctl.training.presets import Preset
from beamctl.training.rollout import rollout
from beamctl.training.vec_env import BatchVecEnv

DEEP_TARGET_MM = 0.2
"""checkpoints are also judged by how well they go on to this RMS"""


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


def train(
    site: Site,
    task_name: str,
    preset: Preset,
    seed: int,
    folder: Path,
    *,
    agent_id: str,
    machine_hash: str,
    progress: Progress[Look] = lambda *_: None,
    resume: bool = False,
    envelope_machines: int = MACHINES,
) -> TrainingResult[Look]:
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
        envelope_machines: machines of each task and scenario that the envelope is measured on.

    Raises:
        AgentError: there is no checkpoint to resume from.
    """
    batch, problem = training_batch(site, task_name, preset, seed)
    env = BatchVecEnv(BatchedOrbitEnv(batch, problem, preset.normalisation, preset.observation))
    tasks = list(site.machine.tasks) if preset.modules == "virtual" else [task_name]

    def export(model: SAC, record: TrainingRecord) -> Manifest:
        bound = machine_hash if preset.observation == "raw" else None
        problems = [usual_problem(site, task, preset) for task in tasks]
        envelope = orbit_envelope(site, problems, policy_agent(model, preset), machines=envelope_machines)
        return export_agent(
            model, preset, folder,
            agent_id=agent_id, machine=site.machine.name, machine_hash=bound, record=record, envelope=envelope,
        )  # fmt: skip

    return learn(preset, env, seed, folder, orbit_judge(site, tasks, preset), export, progress=progress, resume=resume)


def orbit_judge(site: Site, tasks: list[str], preset: Preset) -> Judge[Look]:
    """Judges checkpoints on the fixed machines of some tasks."""

    def judge(model: SAC, updates: int, cpu_s: float) -> Look:
        return Look(updates, cpu_s, *look_at(site, tasks, preset, policy_agent(model, preset)))

    return judge


def look_at(site: Site, tasks: list[str], preset: Preset, agent: TrendPolicyAgent) -> tuple[float, float, float, float]:
    """Success, success at 0.2 mm, mean steps and mean final RMS (mm) on the fixed machines."""
    rows = []
    for task in tasks:
        base = usual_problem(site, task, preset)
        agent.start(base)
        normal = rollout(agent, selection_batch(site, task, preset.selection[0]), base)
        deep = rollout(agent, selection_batch(site, task, preset.selection[1]), replace(base, target_mm=DEEP_TARGET_MM))
        rows.append((normal.reached.mean(), deep.reached.mean(), normal.steps.mean(), normal.final_true.mean()))
    success, deep_success, steps, final = np.mean(rows, axis=0)
    return float(success), float(deep_success), float(steps), float(final)


def usual_problem(site: Site, task: str, preset: Preset) -> OrbitProblem:
    """A task as it is run, with the preset's step."""
    usual = orbit_problem(site.machine, site.design, site.ion, task)
    return replace(preset_problem(site, task, preset), target_mm=usual.target_mm)


def policy_agent(model: SAC, preset: Preset) -> TrendPolicyAgent:
    """The model's present policy as an agent, run by torch."""
    return TrendPolicyAgent(
        "in training",
        inference(policy_module(model, preset)),
        preset.observation,
        preset.normalisation,
        columns=int(model.observation_space.shape[1]),
    )
