"""Who was in which group when: what a centralised critic needs beside each agent's own trajectory.

ML-Agents' groups (`SimpleMultiAgentGroup`) have an id that stays from one episode to the next, while the agents' ids
change. A group's episode ends when the last agents of it that still play end in one message; an agent that ends before
has left a group that goes on without it. What one message brings, and what is decided on it, is one moment.

Agents without a group (id 0) are groups of one.

What a group's episode returns is the group's reward, once, and what all its agents earned on their own.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from rl_src.training.sampling.trajectories import FinishedEpisode, FloatArray, IntArray

GROUP = "group"
"""Where an episode's `custom_data` holds its `GroupStretch`."""


@dataclass(frozen=True)
class GroupStretch:
    """What a trajectory of L decisions was a part of.

    Attributes:
        group: its number, unique across scenes; several of the group's episodes may follow each other.
        moments: when each decision was made, and when the last observation came: [L + 1], ascending.
        group_rewards: what the group earned by the message that brought each decision's outcome: [L].
        group_goes_on: the agent's episode ended before the group's.
    """

    group: int
    moments: IntArray
    group_rewards: FloatArray
    group_goes_on: bool


@dataclass
class _Member:
    """One agent's episode. Lists are of what has not been taken yet; `taken` decisions came before.

    `group_return`: what the group has earned since its episode began, as far as this agent was told.
    """

    group: int
    group_return: float
    taken: int = 0
    moments: list[int] = field(default_factory=list)
    group_rewards: list[float] = field(default_factory=list)
    ended_at: int | None = None
    group_goes_on: bool = False


@dataclass
class _Episode:
    """One group's. `playing`: its agents that have decided and not ended, in the order in which they came."""

    playing: dict[int, None] = field(default_factory=dict)
    own_return: float = 0.0
    length: int = 0
    last_moment: int | None = None


class GroupLog:
    """Keeps this for the agents of one behavior, beside its `TrajectoryCollector`. Keys are agents', as there."""

    def __init__(self) -> None:
        self._members: dict[int, _Member] = {}
        self._episodes: dict[int, _Episode] = {}
        self._finished: list[FinishedEpisode] = []

    def decided(self, keys: IntArray, groups: IntArray, moment: int) -> None:
        """Agents have decided. `groups`: [N], from `group_keys`; an agent's first one counts until its episode ends."""
        for key, group in zip(keys.tolist(), groups.tolist(), strict=True):
            member = self._members.get(key)
            if member is None:
                member = self._members[key] = self._join(key, group)
            member.moments.append(moment)
            episode = self._episodes[member.group]
            episode.length += episode.last_moment != moment
            episode.last_moment = moment

    def received(self, keys: IntArray, rewards: FloatArray, group_rewards: FloatArray) -> None:
        """Agents ask for their next decision; the rewards, their own and the group's, belong to the one before."""
        for key, own, shared in zip(keys.tolist(), rewards.tolist(), group_rewards.tolist(), strict=True):
            member = self._members.get(key)
            if member is not None:
                member.group_rewards.append(shared)
                member.group_return += shared
                self._episodes[member.group].own_return += own

    def ended(self, keys: IntArray, rewards: FloatArray, group_rewards: FloatArray, moment: int) -> None:
        """Agents' episodes end, all those of one message at once."""
        self.received(keys, rewards, group_rewards)
        known = [key for key in keys.tolist() if key in self._members]
        over: dict[int, list[float]] = {}
        for key in known:
            over.setdefault(self._members[key].group, []).append(self._members[key].group_return)
        left = {self._members[key].group: self._leave(key) for key in known}
        for group, told in over.items():
            if group not in self._episodes:
                # Whoever ended first among the last ones was told the least.
                total = left[group].own_return + max(told, key=abs)
                self._finished.append(FinishedEpisode(total, left[group].length))
        for key in known:
            member = self._members[key]
            member.ended_at, member.group_goes_on = moment, member.group in self._episodes
            if not member.moments:  # all its decisions were taken before their outcome was known
                del self._members[key]

    def take(self, key: int, started_at: int, length: int, now: int) -> GroupStretch:
        """Of a trajectory that is taken: decisions `started_at` to `started_at + length` of this agent.

        Args:
            key: the agent.
            started_at: number of the trajectory's first decision in the agent's episode.
            length: L.
            now: the present moment, of agents that wait for their next action.
        """
        member = self._members[key]
        assert member.taken == started_at, "trajectories are taken in order and whole"
        following = [*member.moments[length:], *([] if member.ended_at is None else [member.ended_at]), now]
        stretch = GroupStretch(
            group=member.group,
            moments=np.array([*member.moments[:length], following[0]], dtype=np.int64),
            group_rewards=np.array(member.group_rewards[:length], dtype=np.float32),
            group_goes_on=member.group_goes_on,
        )
        member.taken += length
        del member.moments[:length], member.group_rewards[:length]
        if member.ended_at is not None:
            del self._members[key]
        return stretch

    def take_finished(self) -> list[FinishedEpisode]:
        """The groups' episodes that ended since the last call. `length` counts moments at which somebody decided."""
        finished, self._finished = self._finished, []
        return finished

    def abandon(self, keys: Collection[int]) -> None:
        """Forget agents whose episodes have no end."""
        for key in [key for key in keys if key in self._members]:
            self._leave(key)
            del self._members[key]

    def _join(self, key: int, group: int) -> _Member:
        """What was earned before is known by those that are there already."""
        playing = self._episodes.setdefault(group, _Episode()).playing
        before = self._members[next(iter(playing))].group_return if playing else 0.0
        playing[key] = None
        return _Member(group, before)

    def _leave(self, key: int) -> _Episode:
        """The group's episode, which has ended if nobody plays it any more."""
        group = self._members[key].group
        episode = self._episodes[group]
        del episode.playing[key]
        if not episode.playing:
            del self._episodes[group]
        return episode


def group_keys(agents: IntArray, group_ids: IntArray, scene_shifted: int) -> IntArray:
    """Numbers of groups, unique across scenes; each agent without a group has one of its own.

    Args:
        agents: the agents' keys, [N].
        group_ids: on the wire, [N]; 0 is none.
        scene_shifted: what makes ids of this scene unique across scenes.
    """
    return np.where(group_ids == 0, -1 - agents, group_ids + scene_shifted)
