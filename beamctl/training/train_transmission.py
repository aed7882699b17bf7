"""Trains a TBSAC agent for the transmission of an injector in the batched simulator."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from stable_baselines3 import SAC

from beamctl.agent.manifest import Manifest, TrainingRecord
from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.env.transmission_env import BatchedTransmissionEnv
from beamctl.machine.injector import InjectorDescription, injector_hash
from beamctl.training.envelope import transmission_envelope
from beamctl.training.export import MeanAction, export_transmission_agent, inference
from beamctl.training.injectors import FixedMachines, step_limits, survival, training_injectors, whole_problem
from beamctl.training.learner import Judge, Progress, TrainingResult, learn
from beamctl.training.transmission_figures import transmission_figures
from beamctl.training.transmission_presets import TransmissionPreset
from beamctl.training.transmission_rollout import transmission_rollout
from beamctl.training.vec_env import BatchVecEnv


@dataclass(frozen=True)
class TransmissionLook:
    """One look at the fixed machines of all tasks of the injector together.

    Attributes:
        updates, cpu_s: when.
        success: share of the machines that end at their task's transmission or above.
        eta: mean current behind the RFQ relative to the source, at the end.
        eta_early: mean over the machines after 8 steps.
        worse: share of the machines that end below their start.
        steps: median number of steps until it is first reached, mean over the tasks.
    """

    updates: int
    cpu_s: float
    success: float
    eta: float
    eta_early: float
    worse: float
    steps: float

    @property
    def score(self) -> tuple[float]:
        """Order of checkpoints: the end, the way there, and nothing spoiled."""
        return (self.eta + 0.5 * self.eta_early + 0.2 * self.success - self.worse,)


def train_transmission(
    machine: InjectorDescription,
    preset: TransmissionPreset,
    seed: int,
    folder: Path,
    *,
    agent_id: str,
    cache: Path | None,
    progress: Progress[TransmissionLook] = lambda *_: None,
    resume: bool = False,
) -> TrainingResult[TransmissionLook]:
    """Train one agent for all transmission tasks of an injector, export the best checkpoint.

    Args:
        machine: the injector.
        preset: configuration.
        seed: of machines, exploration and weights.
        folder: results, TensorBoard log and checkpoint.
        agent_id: name of the agent.
        cache: folder that keeps the survival table of the RFQ; None: made anew.
        progress: told of each look.
        resume: go on from the folder's checkpoint, which is written at every look (the replay buffer starts empty).

    Raises:
        AgentError: there is no checkpoint to resume from.
    """
    table = survival(machine, cache)
    batch = training_injectors(machine, preset, table, seed)
    problem = replace(whole_problem(machine), max_steps=preset.episode_steps)
    env = BatchVecEnv(BatchedTransmissionEnv(batch, problem, preset.step_share, step_limits(seed)))

    def export(model: SAC, record: TrainingRecord) -> Manifest:
        envelope = transmission_envelope(
            machine, policy_agent(model), step_shares=preset.step_share, table=table, machines=preset.selection_machines
        )
        return export_transmission_agent(
            model,
            folder,
            agent_id=agent_id,
            machine=machine.name,
            machine_hash=injector_hash(machine),
            record=record,
            envelope=envelope,
        )

    judge = transmission_judge(FixedMachines(machine, preset, table))
    return learn(preset, env, seed, folder, judge, export, progress=progress, resume=resume)


def transmission_judge(fixed: FixedMachines) -> Judge[TransmissionLook]:
    """Judges checkpoints on fixed machines."""

    def judge(model: SAC, updates: int, cpu_s: float) -> TransmissionLook:
        return look_at(policy_agent(model), fixed, updates, cpu_s)

    return judge


def look_at(
    agent: TransmissionPolicyAgent, fixed: FixedMachines, updates: int = 0, cpu_s: float = 0.0
) -> TransmissionLook:
    """Run an agent on the fixed machines."""
    rows = []
    for batch, problem in fixed.sets():
        agent.start(problem)
        ran = transmission_rollout(agent, batch, problem)
        found = transmission_figures(ran, np.ones(len(batch)), problem)
        rows.append((found.reached, found.eta, found.early_of_best, found.worse, found.steps))
    success, eta, eta_early, worse, steps = np.mean(rows, axis=0)
    return TransmissionLook(updates, cpu_s, float(success), float(eta), float(eta_early), float(worse), float(steps))


def policy_agent(model: SAC) -> TransmissionPolicyAgent:
    """The model's present policy as an agent, run by torch."""
    return TransmissionPolicyAgent("in training", inference(MeanAction(model).eval()))
