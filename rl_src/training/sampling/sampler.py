"""Decides for all agents of one behavior, in all scenes and teams at once, and collects what they experience.

Under self-play, teams may have opponents' policies to act with; what these teams experience is not learned from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.networks.action_distribution import (
    log_probabilities,
    masked_logits,
    sample_actions,
    to_unity_range,
)
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.networks.rl_module import ACTION_MASK, MEMORY
from rl_src.training.networks.small_actor import SmallActor
from rl_src.training.sampling.groups import GROUP, GroupLog, group_keys
from rl_src.training.sampling.trajectories import FinishedEpisode, FloatArray, IntArray, Trajectory, TrajectoryCollector

SCENE_KEY_SHIFT = 32
"""Agent ids are int32 on the wire, unique within a build: `scene << 32 | id` is unique across builds."""


@dataclass(frozen=True)
class Waiting:
    """Agents of one scene and one team that wait for their actions. `name`: the fully qualified behavior."""

    index: int
    scene: int
    name: str
    decisions: DecisionBatch


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended that was learned from. `final_reward`: of its last step, group reward included."""

    name: str
    final_reward: float


class AgentMemories:
    """What each agent remembers, by its key; zeros at first. `size`: M."""

    def __init__(self, size: int) -> None:
        self._blank = np.zeros(size, dtype=np.float32)
        self._known: dict[int, FloatArray] = {}

    def of(self, keys: IntArray) -> FloatArray:
        """[N] -> [N, M]."""
        return np.stack([self._known.get(key, self._blank) for key in keys.tolist()])

    def keep(self, keys: IntArray, memories: FloatArray) -> None:
        """[N], [N, M]."""
        self._known.update(zip(keys.tolist(), memories, strict=True))

    def forget(self, keys: IntArray) -> None:
        """Episodes have ended."""
        if self._known:
            for key in keys.tolist():
                self._known.pop(key, None)

    def forget_scene(self, scene: int | None) -> None:
        """Of all agents of one scene, or all."""
        mine = [key for key in self._known if scene is None or key >> SCENE_KEY_SHIFT == scene]
        for key in mine:
            del self._known[key]


class BehaviorSampler:
    """Plays one behavior with `network`, which others may give new weights between two steps.

    Args:
        behavior: its specs; all teams of a behavior have the same.
        network: acts; its critic is not used.
        seed: of the actions.
        keeps_groups: episodes tell in `custom_data` what they were a part of (`groups.GroupStretch`).
    """

    def __init__(
        self, behavior: BehaviorSpec, network: PolicyNetwork, seed: Sequence[int], *, keeps_groups: bool = False
    ) -> None:
        self.behavior = behavior
        self.network = network
        self.collects = True
        self.opponents: dict[str, PolicyNetwork] = {}
        """By fully qualified behavior: teams that act with another policy than the one that learns."""
        self.opponent_decisions = 0
        self.decided = 0
        """Decisions that were collected, ever."""
        self._results: list[EpisodeResult] = []
        self._actions = behavior.actions
        self._rng = np.random.default_rng(list(seed))
        self._collector = TrajectoryCollector()
        self._groups = GroupLog() if keeps_groups else None
        self._moment = 0  # decisions made at once so far
        self._memories = AgentMemories(network.memory_size)
        self._waiting: list[Waiting] = []
        self._small_actors: WeakKeyDictionary[PolicyNetwork, SmallActor | None] = WeakKeyDictionary()

    @property
    def decisions(self) -> int:
        """Agent decisions collected since the last `take`."""
        return self._collector.decisions

    def decide(self) -> list[tuple[Waiting, Actions]]:
        """Act for every agent that waits."""
        waiting, self._waiting = self._waiting, []
        own = [item for item in waiting if item.name not in self.opponents]
        acted = self._act(own, self.network, collects=self.collects)
        for name, network in self.opponents.items():
            theirs = [item for item in waiting if item.name == name]
            self.opponent_decisions += sum(len(item.decisions) for item in theirs)
            acted += self._act(theirs, network, collects=False)
        self._moment += 1
        return acted

    def _act(self, waiting: list[Waiting], network: PolicyNetwork, *, collects: bool) -> list[tuple[Waiting, Actions]]:
        if not waiting:
            return []
        keys, observations = _joined_agents(waiting)
        masks = _joined_masks([item.decisions for item in waiting])
        before = self._memories.of(keys) if network.memory_size else None
        inputs, after = self._think(network, observations, before)
        if masks is not None:
            inputs = masked_logits(inputs, masks, self._actions)
        actions = sample_actions(inputs, self._actions, self._rng)
        memories = None
        if before is not None and after is not None:
            self._memories.keep(keys, after)
            memories = np.stack([before, after], axis=1)
        if collects:
            self.decided += len(keys)
            self._collector.record(keys, observations, actions, inputs, masks, memories)
            if self._groups is not None:
                self._groups.decided(keys, _joined([_group_keys(item) for item in waiting]), self._moment)
        borders = np.cumsum([len(item.decisions) for item in waiting])[:-1]
        return [(item, self._as_unity(own)) for item, own in zip(waiting, np.split(actions, borders), strict=True)]

    def _think(
        self, network: PolicyNetwork, observations: tuple[FloatArray, ...], memory: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Distribution inputs [N, D], unmasked, and the memory afterwards [N, M]."""
        if network not in self._small_actors:
            self._small_actors[network] = network.small_actor()
        small = self._small_actors[network]
        if small is not None:
            return small(observations), None
        with torch.inference_mode():
            before = None if memory is None else torch.from_numpy(memory)
            inputs, after = network.step([torch.from_numpy(value) for value in observations], before)
            return inputs.numpy(), None if after is None else after.numpy()

    def receive(self, index: int, scene: int, name: str, step: BehaviorStep) -> None:
        """What became of the agents of one scene and team, and who waits now."""
        ends, waits = step.terminals, step.decisions
        self._memories.forget(scene_keys(scene, ends.agent_ids))
        if len(ends) and name not in self.opponents:
            self._results += [EpisodeResult(name, float(value)) for value in _rewards(ends)[~ends.truncated]]
            keys = scene_keys(scene, ends.agent_ids)
            self._collector.receive_terminals(keys, _rewards(ends), ends.truncated, ends.observations)
            if self._groups is not None:
                self._groups.ended(keys, ends.rewards, ends.group_rewards, self._moment)
        if len(waits):
            if name not in self.opponents:
                keys = scene_keys(scene, waits.agent_ids)
                self._collector.receive(keys, _rewards(waits))
                if self._groups is not None:
                    self._groups.received(keys, waits.rewards, waits.group_rewards)
            self._waiting.append(Waiting(index, scene, name, waits))

    def take(self) -> tuple[list[SingleAgentEpisode], list[FinishedEpisode]]:
        """The stretches collected so far, as RLlib's episodes, and the episodes that ended in them.

        Where groups are kept, these are the groups' episodes: an agent's own does not tell what came of it.
        """
        own = [item for item in self._waiting if item.name not in self.opponents]
        trajectories = self._collector.take(*_joined_agents(own))
        finished = self._collector.take_finished()
        episodes = self._as_episodes(trajectories)
        return episodes, finished if self._groups is None else self._groups.take_finished()

    def take_results(self) -> list[EpisodeResult]:
        """How the terminated episodes ended since the last call."""
        results, self._results = self._results, []
        return results

    def abandon(self, scene: int | None = None) -> None:
        """Open episodes (of one scene, or all) have no end, and what was collected of them is left out."""
        mine = [key for key in self._collector.open_keys() if scene is None or key >> SCENE_KEY_SHIFT == scene]
        self._collector.abandon(mine)
        if self._groups is not None:
            self._groups.abandon(mine)
        self._memories.forget_scene(scene)
        self._waiting = [item for item in self._waiting if scene is not None and item.scene != scene]

    def stop_collecting(self) -> None:
        """Play on without learning: the behavior's limit is reached, other behaviors go on."""
        self.collects = False
        if self._groups is not None:
            self._groups.abandon(self._collector.open_keys())
        self._collector.abandon()

    def rng_state(self) -> dict[str, Any]:
        """State of the action sampler; JSON takes it."""
        return dict(self._rng.bit_generator.state)

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Continue the action sampler."""
        self._rng.bit_generator.state = dict(state)

    def _as_unity(self, actions: FloatArray) -> Actions:
        size = self._actions.continuous_size
        return Actions(continuous=to_unity_range(actions[:, :size]), discrete=actions[:, size:].astype(np.int32))

    def _as_episodes(self, trajectories: list[Trajectory]) -> list[SingleAgentEpisode]:
        """With log probabilities, which are computed once for all rather than in every step."""
        if not trajectories:
            return []
        inputs = torch.from_numpy(np.concatenate([item.inputs for item in trajectories]))
        actions = torch.from_numpy(np.concatenate([item.actions for item in trajectories]))
        logp = log_probabilities(inputs, actions, self._actions).numpy()
        borders = np.cumsum([len(item.actions) for item in trajectories])[:-1]
        pieces = np.split(logp, borders)
        episodes = [_as_episode(item, piece) for item, piece in zip(trajectories, pieces, strict=True)]
        if self._groups is not None:
            for episode, item in zip(episodes, trajectories, strict=True):
                length = len(item.actions)
                episode.custom_data[GROUP] = self._groups.take(item.key, item.started_at, length, self._moment)
        return episodes


def _joined_agents(waiting: Sequence[Waiting]) -> tuple[IntArray, tuple[FloatArray, ...]]:
    """Keys [N] and observations [N, *shape] for each sensor."""
    if not waiting:
        return np.empty(0, dtype=np.int64), ()
    keys = _joined([scene_keys(item.scene, item.decisions.agent_ids) for item in waiting])
    sensors = zip(*(item.decisions.observations for item in waiting), strict=True)
    return keys, tuple(_joined(list(values)) for values in sensors)


def scene_keys(scene: int, agent_ids: IntArray) -> IntArray:
    """Agent ids, made unique across scenes."""
    return agent_ids + (scene << SCENE_KEY_SHIFT)


def _group_keys(waiting: Waiting) -> IntArray:
    batch, scene = waiting.decisions, waiting.scene
    return group_keys(scene_keys(scene, batch.agent_ids), batch.group_ids, scene << SCENE_KEY_SHIFT)


def _rewards(batch: DecisionBatch | TerminalBatch) -> FloatArray:
    """What an agent earned, and what its group did (ml-agents, ExtrinsicRewardProvider)."""
    return batch.rewards + batch.group_rewards


def _as_episode(trajectory: Trajectory, logp: FloatArray) -> SingleAgentEpisode:
    """Arrays go in as they are: InfiniteLookbackBuffer takes anything but a list as complete."""
    outputs = {Columns.ACTION_LOGP: logp}
    if trajectory.masks is not None:
        outputs[ACTION_MASK] = trajectory.masks
    episode = SingleAgentEpisode(
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
    if trajectory.memories is not None:
        # Not an output of the model: those are one a decision, and the last observation's memory is needed too.
        episode.custom_data[MEMORY] = trajectory.memories
    return episode


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
