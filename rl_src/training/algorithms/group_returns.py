"""What a group of agents earns together: who was there at each moment, and the returns that they share.

The return that follows a decision is the group's (arXiv:2111.05992, section 4): it goes on after an agent has left, as
long as the group's episode does, so an agent is credited with what comes of its leaving. It is computed over
*gatherings*: the agents of one group that play at one moment, each with what it saw last.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.training.sampling.groups import GROUP, GroupStretch

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

NOBODY = -1
"""Pads gatherings of fewer agents than the largest one has."""

NOTHING = -1
"""Instead of the gathering that follows, where a group's episode has terminated."""


@dataclass(frozen=True)
class Stretch:
    """One agent's trajectory: L decisions, and how it ended, if it has. `rewards`: own and group's together, [L]."""

    part: GroupStretch
    rewards: FloatArray
    terminated: bool
    truncated: bool

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def ended(self) -> bool:
        """False: the trajectory was cut."""
        return self.terminated or self.truncated


def stretch_of(episode: SingleAgentEpisode) -> Stretch:
    """As a sampler that keeps groups made it."""
    return Stretch(
        part=episode.custom_data[GROUP],
        rewards=np.asarray(episode.rewards.data, dtype=np.float32),
        terminated=episode.is_terminated,
        truncated=episode.is_truncated,
    )


@dataclass(frozen=True)
class Gatherings:
    """G gatherings, around N decisions among N + E observations: those of E stretches, one behind the other.

    Attributes:
        members: numbers of the observations that make each, [G, M], padded with `NOBODY`.
        moments: when each was, [G].
        of_decision: in which one each decision was made, [N].
        following: which one came of each decision, [N], or `NOTHING`.
        decisions: which observations were decided on, [N].
    """

    members: IntArray
    moments: IntArray
    of_decision: IntArray
    following: IntArray
    decisions: IntArray


@dataclass
class _Events:
    """What happened in one group at one moment: (stretch, observation) each."""

    left: list[tuple[int, int]] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)


class _Gatherer:
    """Goes through each group's moments in order."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches = stretches
        self.members: list[list[int]] = []
        self.moments: list[int] = []
        self.at: dict[tuple[int, int], int] = {}
        """By group and moment: the gathering of those that play on."""
        self.after: dict[int, int] = {}
        """By stretch that has ended: what came of its last decision."""

    def walk(self, group: int, events: dict[int, _Events]) -> None:
        """All moments of one group."""
        playing: dict[int, int] = {}
        for moment in sorted(events):
            for stretch, _ in events[moment].left:
                playing.pop(stretch, None)
            playing.update(events[moment].seen)
            if playing:
                self.at[group, moment] = self._gather(list(playing.values()), moment)
            self._see_off(group, moment, events[moment].left)

    def _see_off(self, group: int, moment: int, left: list[tuple[int, int]]) -> None:
        """Whoever leaves a group that goes on leaves it to the others; the last ones' end is the group's."""
        over = [(stretch, last) for stretch, last in left if not self._stretches[stretch].part.group_goes_on]
        cut = [last for stretch, last in over if self._stretches[stretch].truncated]
        end = self._gather(cut, moment) if cut else NOTHING
        self.after.update((stretch, end) for stretch, _ in over)
        for stretch, last in left:
            if stretch not in self.after:
                there = self.at.get((group, moment))
                # With nobody left to look at, as after a crash, its own last observation has to do.
                self.after[stretch] = self._gather([last], moment) if there is None else there

    def _gather(self, members: list[int], moment: int) -> int:
        self.members.append(members)
        self.moments.append(moment)
        return len(self.members) - 1


def gather(stretches: Sequence[Stretch]) -> Gatherings:
    """Who played together when, of one stretch at least. Observations are numbered through all, L + 1 of each."""
    groups: dict[int, dict[int, _Events]] = defaultdict(lambda: defaultdict(_Events))
    firsts = np.cumsum([0, *(len(stretch) + 1 for stretch in stretches)])[:-1].tolist()
    for number, (stretch, first) in enumerate(zip(stretches, firsts, strict=True)):
        events, moments = groups[stretch.part.group], stretch.part.moments.tolist()
        for i, moment in enumerate(moments[:-1]):
            events[moment].seen.append((number, first + i))
        last = events[moments[-1]]
        (last.left if stretch.ended else last.seen).append((number, first + len(stretch)))
    gatherer = _Gatherer(stretches)
    for group, events in groups.items():
        gatherer.walk(group, events)
    of_decision, following = [], []
    for number, stretch in enumerate(stretches):
        places = [gatherer.at.get((stretch.part.group, moment), NOTHING) for moment in stretch.part.moments.tolist()]
        of_decision += places[:-1]
        following += [*places[1:-1], gatherer.after.get(number, places[-1])]
    return Gatherings(
        members=_padded(gatherer.members),
        moments=np.array(gatherer.moments, dtype=np.int64),
        of_decision=np.array(of_decision, dtype=np.int64),
        following=np.array(following, dtype=np.int64),
        decisions=np.concatenate([first + np.arange(len(item)) for item, first in zip(stretches, firsts, strict=True)]),
    )


def team_rewards(stretches: Sequence[Stretch]) -> FloatArray:
    """What came of each decision for the whole team: the group's reward, and what every member earned on its own.

    [N], float32. Rewards of the members' own count for all, as ML-Agents' POCA has it, so that a group's value is one
    number, whoever asks.
    """
    shared = _shared_rewards(stretches)
    own = [stretch.rewards.astype(np.float64) - stretch.part.group_rewards for stretch in stretches]
    by_group: dict[int, list[int]] = defaultdict(list)
    for number, stretch in enumerate(stretches):
        by_group[stretch.part.group].append(number)
    found: dict[int, NDArray[np.float64]] = {}
    for numbers in by_group.values():
        arrivals = np.concatenate([stretches[i].part.moments[1:] for i in numbers])
        order = np.argsort(arrivals, kind="stable")
        earned = np.concatenate([[0.0], np.cumsum(np.concatenate([own[i] for i in numbers])[order])])
        for i in numbers:
            so_far = earned[np.searchsorted(arrivals[order], stretches[i].part.moments, side="right")]
            found[i] = so_far[1:] - so_far[:-1]
    individual = np.concatenate([found[i] for i in range(len(stretches))])
    return (individual + shared).astype(np.float32)


def _shared_rewards(stretches: Sequence[Stretch]) -> NDArray[np.float64]:
    """The group's reward between two moments, [N], which is the same for all that decided at the first of them.

    An agent that left in between was told only what the group had earned by then: what the others were told counts. If
    all ended, the largest amount does.
    """
    told: dict[tuple[int, int, int], tuple[bool, float]] = {}
    keys: list[tuple[int, int, int]] = []
    for stretch in stretches:
        moments, last = stretch.part.moments.tolist(), len(stretch) - 1
        for i, reward in enumerate(stretch.part.group_rewards.tolist()):
            key = (stretch.part.group, moments[i], moments[i + 1])
            stayed = not (stretch.ended and i == last)
            known = told.get(key)
            if known is None or (stayed, abs(reward)) > (known[0], abs(known[1])):
                told[key] = stayed, reward
            keys.append(key)
    return np.array([told[key][1] for key in keys])


def group_returns(
    gatherings: Gatherings, rewards: FloatArray, values: FloatArray, gamma: float, lambda_: float
) -> FloatArray:
    """TD(lambda) returns of the team: [N], [G] -> [N].

    After each decision comes a gathering s, with its value V(s) and the returns of what was decided there:
    y = r + gamma ((1 - lambda) V(s) + lambda mean y(s)). Where nothing was decided there any more, V(s) stands for
    both; after a termination both are 0.
    """
    returns = np.empty(len(rewards), dtype=np.float64)
    total, count = np.zeros(len(values)), np.zeros(len(values), dtype=np.int64)
    order = np.argsort(-gatherings.moments[gatherings.of_decision], kind="stable")
    for row in order.tolist():
        there = gatherings.following[row]
        ahead = 0.0
        if there != NOTHING:
            later = total[there] / count[there] if count[there] else values[there]
            ahead = (1 - lambda_) * values[there] + lambda_ * later
        returns[row] = rewards[row] + gamma * ahead
        here = gatherings.of_decision[row]
        total[here] += returns[row]
        count[here] += 1
    return returns.astype(np.float32)


def _padded(members: Sequence[Sequence[int]]) -> IntArray:
    width = max(map(len, members), default=1)
    padded = np.full((len(members), width), NOBODY, dtype=np.int64)
    for row, own in zip(padded, members, strict=True):
        row[: len(own)] = own
    return padded
