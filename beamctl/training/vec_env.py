"""Presents a batched environment to Stable-Baselines3.

Time limits are no ends: ``TimeLimit.truncated`` and ``terminal_observation`` go into ``infos``, otherwise SAC
bootstraps wrongly without a word.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from beamctl.env.batch_step import BatchedEnv


class BatchVecEnv(VecEnv):
    """SB3 VecEnv over any :class:`BatchedEnv`."""

    def __init__(self, env: BatchedEnv) -> None:
        self.env = env
        observation = gymnasium.spaces.Box(-np.inf, np.inf, env.observation_shape, np.float32)
        action = gymnasium.spaces.Box(-1.0, 1.0, (env.n_action,), np.float32)
        super().__init__(len(env), observation, action)
        self._action: NDArray[Any] = np.zeros((len(env), env.n_action))
        self._episode_return = np.zeros(len(env))
        self._episode_length = np.zeros(len(env), dtype=np.int64)

    def reset(self) -> VecEnvObs:
        """Fresh episodes everywhere."""
        self._episode_return[:] = 0
        self._episode_length[:] = 0
        return self.env.reset().astype(np.float32)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of all episodes."""
        step = self.env.step(self._action)
        self._episode_return += step.reward
        self._episode_length += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row, final in zip(step.ended, step.final_observation, strict=True):
            infos[row] = {
                "terminal_observation": final.astype(np.float32),
                "TimeLimit.truncated": bool(step.truncated[row]),
                "is_success": bool(step.terminated[row]),
                "episode": {
                    "r": float(self._episode_return[row]),
                    "l": int(self._episode_length[row]),
                    "t": 0.0,
                },
            }
        self._episode_return[step.ended] = 0
        self._episode_length[step.ended] = 0
        done = step.terminated | step.truncated
        return step.observation.astype(np.float32), step.reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The same value for every row."""
        return [getattr(self, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Rows have no attributes of their own."""
        raise AttributeError(f"{attr_name} cannot be set on rows of a batched environment")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Rows have no methods of their own."""
        raise AttributeError(f"rows of a batched environment have no method {method_name}")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Never wrapped."""
        return [False for _ in self._get_indices(indices)]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Randomness comes from the generator that the machines were made with."""
        return [seed] * self.num_envs
