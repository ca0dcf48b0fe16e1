"""The env runner: all agents of all scenes decide in one batch, and come out as RLlib episodes.

RLlib's own runner steps a gymnasium vector env with a fixed number of sub-environments and runs its connectors in
every step, which is half of the sampling time for one agent. A scene's agents come and go, end and begin in one
message, and skip steps; so the loop is ours, and what RLlib's learner needs (log probabilities) is computed once for a
whole sample. Callbacks (`on_environment_created`, `on_sample_end`) and metrics are RLlib's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.batches import Actions, DecisionBatch, TerminalBatch
from rl_src.envs.group import Answer
from rl_src.envs.specs import ActionSpec, BehaviorSpec
from rl_src.training.action_distribution import (
    action_size,
    log_probabilities,
    mask_logits,
    sample_actions,
    to_unity_range,
)
from rl_src.training.rl_module import ACTION_MASK, ActorCriticModule
from rl_src.training.scenes import Scenes
from rl_src.training.trajectories import FinishedEpisode, FloatArray, IntArray, Trajectory, TrajectoryCollector

SCENE_KEY_SHIFT = 32
"""Agent ids are int32 on the wire, unique within a build: `scene << 32 | id` is unique across builds."""


class RunningScenes(gym.vector.VectorEnv[Any, Any, Any]):
    """The scenes as RLlib holds an env: spaces and an end. Stepping is the runner's, agent counts are not fixed."""

    def __init__(self, scenes: Scenes, behavior: BehaviorSpec) -> None:
        self.scenes = scenes
        self.behavior = behavior
        self.num_envs = len(scenes)
        self.single_observation_space = observation_space(behavior)
        self.single_action_space = action_space(behavior.actions)
        self.observation_space = self.single_observation_space
        self.action_space = self.single_action_space

    def close(self, **kwargs: Any) -> None:
        """End the builds."""
        self.scenes.close()


class UnityEnvRunner(SingleAgentEnvRunner):
    """Samples one behavior from running scenes.

    Args:
        config: `env_config` holds `module_spec`, the RLModuleSpec to act with, and `seed`.
        scenes: the builds, already started; the runner closes them.
        interrupt: asked in every step; when true, `sample` returns early with what it has.
    """

    def __init__(
        self, *, config: AlgorithmConfig, scenes: Scenes, interrupt: Callable[[], bool] = lambda: False, **kwargs: Any
    ) -> None:
        self._scenes = scenes
        self._interrupt = interrupt
        self._collector = TrajectoryCollector()
        self._pending: list[Answer] | None = None
        self._finished: list[FinishedEpisode] = []
        self._known: set[str] = set()
        super().__init__(config=config, **kwargs)
        self._rng = np.random.default_rng([config.env_config["seed"], self.worker_index or 0])

    def make_env(self) -> None:
        """Wrap the started builds."""
        self.env = RunningScenes(self._scenes, self._scenes.behavior())
        self._actions: ActionSpec = self.env.behavior.actions
        self.num_envs = self.env.num_envs
        self._needs_initial_reset = True
        make_callback(
            "on_environment_created",
            callbacks_objects=self._callbacks,
            callbacks_functions=self.config.callbacks_on_environment_created,
            kwargs={
                "env_runner": self,
                "metrics_logger": self.metrics,
                "env": self.env,
                "env_context": EnvContext(self.config.env_config, worker_index=self.worker_index or 0),
            },
        )

    def make_module(self) -> None:
        """Build the policy without its value function."""
        spec: RLModuleSpec = self.config.env_config["module_spec"]
        self.module = RLModuleSpec(
            module_class=spec.module_class,
            observation_space=spec.observation_space,
            action_space=spec.action_space,
            model_config=spec.model_config,
            inference_only=True,
        ).build()
        assert isinstance(self.module, ActorCriticModule)
        self.module.eval()
        self._network = self.module.network

    def begin(self, first: list[Answer]) -> None:
        """Go on from the answers to a reset that was done already, instead of resetting again."""
        self._pending = first
        self._needs_initial_reset = False

    def take_finished(self) -> list[FinishedEpisode]:
        """Episodes that ended in the samples since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def rng_state(self) -> dict[str, Any]:
        """State of the action sampler; JSON takes it."""
        return dict(self._rng.bit_generator.state)

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Continue the action sampler."""
        self._rng.bit_generator.state = dict(state)

    def _sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        """Play for so many agent decisions, or until so many episodes have ended."""
        if random_actions:
            raise NotImplementedError("random actions: use an untrained policy, which is close to uniform")
        if force_reset or self._pending is None:
            self._reset()
        trajectories: list[Trajectory] = []
        decisions, episodes = 0, 0
        while not self._interrupt():
            decisions = self._collector.decisions
            if num_timesteps is not None and decisions >= num_timesteps:
                break
            if num_episodes is not None and episodes >= num_episodes:
                break
            episodes += self._play_step(explore)
        trajectories = self._collector.take(*self._pending_agents())
        self._finished += self._collector.take_finished()
        self.num_env_steps_sampled_lifetime += sum(len(item.actions) for item in trajectories)
        return self._as_episodes(trajectories)

    def get_metrics(self) -> Any:
        """RLlib's logger; episode returns are taken by `take_finished`."""
        return self.metrics.reduce()

    def _reset(self) -> None:
        self._collector.abandon()
        self._pending = self._scenes.reset()
        self._needs_initial_reset = False

    def _play_step(self, explore: bool) -> int:
        """One decision of every waiting agent of every scene; returns the number of episodes that ended."""
        assert self._pending is not None
        waiting = [
            (index, name, item.decisions)
            for index, answer in enumerate(self._pending)
            for name, item in answer.steps.items()
        ]
        actions = self._decide([batch for _, _, batch in waiting if len(batch)], explore)
        answers: list[dict[str, Actions]] = [{} for _ in self._pending]
        start = 0
        for index, name, batch in waiting:
            answers[index][name] = self._as_unity(actions[start : start + len(batch)])
            start += len(batch)
        self._pending = self._scenes.step(answers)
        return self._receive()

    def _decide(self, batches: Sequence[DecisionBatch], explore: bool) -> FloatArray:
        if not batches:
            return np.empty((0, action_size(self._actions)), np.float32)
        keys, observations = self._pending_agents()
        masks = _joined_masks(batches)
        with torch.inference_mode():
            raw = self._network.distribution_inputs([torch.from_numpy(value) for value in observations])
            if masks is not None:
                raw = mask_logits(raw, torch.from_numpy(masks), self._actions)
        inputs: FloatArray = raw.numpy()
        actions = sample_actions(inputs, self._actions, self._rng, deterministic=not explore)
        self._collector.record(keys, observations, actions, inputs, masks)
        return actions

    def _receive(self) -> int:
        assert self._pending is not None
        ended = 0
        for index, answer in enumerate(self._pending):
            if answer.restarted:
                self._abandon(self._scene(index, answer.generation - 1))
            scene = self._scene(index, answer.generation)
            for name, item in answer.steps.items():
                if name not in self._known:
                    self._scenes.behavior()  # raises when another behavior has appeared, not just another team
                    self._known.add(name)
                ends, waits = item.terminals, item.decisions
                if len(ends):
                    ended += len(ends)
                    keys = scene_keys(scene, ends.agent_ids)
                    self._collector.receive_terminals(keys, _rewards(ends), ends.truncated, ends.observations)
                if len(waits):
                    self._collector.receive(scene_keys(scene, waits.agent_ids), _rewards(waits))
        return ended

    def _scene(self, index: int, generation: int) -> int:
        """A number of its own for each start of each build: agent ids begin again with every start."""
        return index + generation * len(self._scenes)

    def _abandon(self, scene: int) -> None:
        """The build broke: its open episodes have no end, and what was sampled of them is left out."""
        self._collector.abandon([key for key in self._collector.open_keys() if key >> SCENE_KEY_SHIFT == scene])

    def _pending_agents(self) -> tuple[IntArray, tuple[FloatArray, ...]]:
        assert self._pending is not None
        batches = [
            (self._scene(index, answer.generation), item.decisions)
            for index, answer in enumerate(self._pending)
            for item in answer.steps.values()
            if len(item.decisions)
        ]
        if not batches:
            return np.empty(0, dtype=np.int64), ()
        keys = _joined([scene_keys(scene, batch.agent_ids) for scene, batch in batches])
        return keys, tuple(
            _joined(list(values)) for values in zip(*(batch.observations for _, batch in batches), strict=True)
        )

    def _as_unity(self, actions: FloatArray) -> Actions:
        size = self._actions.continuous_size
        return Actions(continuous=to_unity_range(actions[:, :size]), discrete=actions[:, size:].astype(np.int32))

    def _as_episodes(self, trajectories: list[Trajectory]) -> list[SingleAgentEpisode]:
        if not trajectories:
            return []
        inputs = torch.from_numpy(np.concatenate([item.inputs for item in trajectories]))
        actions = torch.from_numpy(np.concatenate([item.actions for item in trajectories]))
        logp = log_probabilities(inputs, actions, self._actions).numpy()
        borders = np.cumsum([len(item.actions) for item in trajectories])[:-1]
        pieces = np.split(logp, borders)
        return [_as_episode(item, piece) for item, piece in zip(trajectories, pieces, strict=True)]


def observation_space(behavior: BehaviorSpec) -> gym.Space[Any]:
    """One box for each sensor."""
    boxes = [gym.spaces.Box(-np.inf, np.inf, item.shape, np.float32) for item in behavior.observations]
    return gym.spaces.Tuple(boxes)


def action_space(actions: ActionSpec) -> gym.Space[Any]:
    """A box for the packed actions (`action_distribution`)."""
    return gym.spaces.Box(-np.inf, np.inf, (action_size(actions),), np.float32)


def scene_keys(scene: int, agent_ids: IntArray) -> IntArray:
    """Agent ids, made unique across scenes."""
    return agent_ids + (scene << SCENE_KEY_SHIFT)


def _rewards(batch: DecisionBatch | TerminalBatch) -> FloatArray:
    """What an agent earned, and what its group did (ml-agents, ExtrinsicRewardProvider)."""
    return batch.rewards + batch.group_rewards


def _as_episode(trajectory: Trajectory, logp: FloatArray) -> SingleAgentEpisode:
    """Arrays go in as they are: InfiniteLookbackBuffer takes anything but a list as complete."""
    outputs = {Columns.ACTION_LOGP: logp}
    if trajectory.masks is not None:
        outputs[ACTION_MASK] = trajectory.masks
    return SingleAgentEpisode(
        id_=f"{trajectory.key:x}",
        observations=InfiniteLookbackBuffer(trajectory.observations),  # type: ignore[arg-type]
        actions=InfiniteLookbackBuffer(trajectory.actions),
        rewards=InfiniteLookbackBuffer(trajectory.rewards),
        terminated=trajectory.terminated,
        truncated=trajectory.truncated,
        extra_model_outputs=outputs,
        t_started=trajectory.started_at,
        len_lookback_buffer=0,
    )


def _joined(values: Sequence[Any]) -> Any:
    """A copy of our own: the client's arrays are views of the message, read-only and not always aligned for torch."""
    return np.array(values[0]) if len(values) == 1 else np.concatenate(values)


def _joined_masks(batches: Sequence[DecisionBatch]) -> FloatArray | None:
    """None where everything is allowed, which is the usual case and then costs nothing downstream."""
    masks = [batch.action_mask for batch in batches]
    if all(mask is None or mask.all() for mask in masks):
        return None
    width = next(mask.shape[1] for mask in masks if mask is not None)
    return np.concatenate(
        [
            np.ones((len(batch), width), dtype=np.float32) if mask is None else mask.astype(np.float32)
            for batch, mask in zip(batches, masks, strict=True)
        ]
    )
