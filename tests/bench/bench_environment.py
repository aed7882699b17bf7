"""Environment steps per second: the batched VecEnv of 64 against DummyVecEnv of 16 single environments, in one run.

Both step the same task on the same simulator (CM1's hardware, virtual modules, err5); CPU time, one thread.
"""

import time

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from beamctl.env.batched_env import BatchedOrbitEnv
from beamctl.machine.loader import load_ion, load_machine
from beamctl.training.machines import Site, training_batch
from beamctl.training.presets import FAST, replace_envs
from beamctl.training.vec_env import BatchVecEnv

STEPS = 3000
BAR, BAR_RATIO = 200e3, 20.0


class SoloEnv(gymnasium.Env):
    """One machine as an ordinary Gymnasium environment."""

    def __init__(self, env: BatchedOrbitEnv) -> None:
        self._env = env
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3, env.columns), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (env.problem.n_corrector,), np.float32)

    def reset(self, *, seed=None, options=None):
        return self._env.reset()[0].astype(np.float32), {}

    def step(self, action):
        step = self._env.step(action[None])
        ended = bool(step.terminated[0]), bool(step.truncated[0])
        return step.observation[0].astype(np.float32), float(step.reward[0]), *ended, {}


def steps_per_cpu_s(env: VecEnv, steps: int) -> float:
    """Environment steps per CPU second under random actions."""
    env.reset()
    actions = np.random.default_rng(1).uniform(-1, 1, (16, env.num_envs, *env.action_space.shape)).astype(np.float32)
    env.step(actions[0])
    start = time.process_time()
    for i in range(steps):
        env.step(actions[i % 16])
    return steps * env.num_envs / (time.process_time() - start)


def make_env(n: int, seed: int) -> BatchedOrbitEnv:
    """``n`` episodes on virtual modules."""
    machine = load_machine("cafe2")
    ion = load_ion(machine.ion)
    batch, problem = training_batch(Site(machine, ion, ion), "cm1-orbit", replace_envs(FAST, n), seed)
    return BatchedOrbitEnv(batch, problem, FAST.normalisation, FAST.observation)


def main() -> None:
    """Print both rates and their ratio."""
    batched = steps_per_cpu_s(BatchVecEnv(make_env(64, 0)), STEPS)
    solo = steps_per_cpu_s(DummyVecEnv([lambda seed=i: SoloEnv(make_env(1, seed)) for i in range(16)]), STEPS // 20)
    print(f"batched VecEnv of 64   {batched:10.0f} env steps/s   (bar {BAR:.0f})")
    print(f"DummyVecEnv of 16      {solo:10.0f} env steps/s")
    print(f"ratio                  {batched / solo:10.1f}               (bar {BAR_RATIO:.0f})")


if __name__ == "__main__":
    main()
