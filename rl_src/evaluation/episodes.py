"""Episodes of one behavior, told apart and counted.

Which episodes count is settled when they begin: the first N that begin. Counting the first N that *end* would favour
short ones, because many agents play side by side and the long episodes are the ones still running.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rl_src.envs.batches import BehaviorStep, DecisionBatch, TerminalBatch

MAX_EPISODE_DECISIONS = 5_000
"""A scene without Max Step and a policy that reaches no goal make an episode without end: here it is cut off."""

MAX_CUT_OFF = 5
"""After so many episodes without end more of them would say nothing new."""


class Ending(StrEnum):
    """How an episode ended: by its own end, by the game's Max Step, or by `MAX_EPISODE_DECISIONS` here."""

    TERMINATED = "terminated"
    TRUNCATED = "truncated"
    CUT_OFF = "cut_off"


@dataclass(frozen=True)
class PlayedEpisode:
    """One counted episode of one agent. `final_reward` is its last step's, group reward included."""

    episode_return: float
    length: int
    ending: Ending
    team: int = 0
    final_reward: float = 0.0


@dataclass
class _Running:
    counts: bool
    team: int
    total: float = 0.0
    length: int = 0
    cut_off: bool = False


@dataclass
class BehaviorEpisodes:
    """The counted episodes of one behavior in one build, in the order in which they ended."""

    played: list[PlayedEpisode] = field(default_factory=list)
    cut_off: int = 0
    begun: int = 0
    _running: dict[int, _Running] = field(default_factory=dict)

    @property
    def returns(self) -> list[float]:
        """Undiscounted, one an episode."""
        return [episode.episode_return for episode in self.played]

    @property
    def lengths(self) -> list[int]:
        """Agent decisions, one number an episode."""
        return [episode.length for episode in self.played]

    def record(self, step: BehaviorStep, wanted: int, team: int = 0) -> None:
        """Take in one exchange: rewards of episodes that ended and of those that go on."""
        truncated = dict(zip(step.terminals.agent_ids.tolist(), step.terminals.truncated.tolist(), strict=True))
        for agent, reward in _rewards(step.terminals):
            episode = self._running.pop(agent, None)
            if episode is None:
                continue  # it ended before it could decide anything
            episode.total += reward
            if episode.counts and not episode.cut_off:
                self._count(episode, Ending.TRUNCATED if truncated[agent] else Ending.TERMINATED, reward)
        for agent, reward in _rewards(step.decisions):
            if agent not in self._running:
                # What comes with an episode's first decision belongs to none of its decisions, as in training.
                self._running[agent] = _Running(counts=self.begun < wanted, team=team)
                self.begun += 1
            else:
                self._running[agent].total += reward
            episode = self._running[agent]
            episode.length += 1
            if episode.length > MAX_EPISODE_DECISIONS and not episode.cut_off:
                self._cut_off(episode)

    def is_stuck(self) -> bool:
        """Whether nothing but episodes without end is being played."""
        return bool(self._running) and all(episode.cut_off for episode in self._running.values())

    def is_complete(self, wanted: int) -> bool:
        """Whether all episodes that count have ended, or enough of them never will."""
        return len(self.played) >= wanted or self.cut_off >= MAX_CUT_OFF

    def decisions_before(self, agent: int) -> int:
        """How many decisions the agent's running episode had before the one that it waits for now."""
        return self._running[agent].length - 1

    def forget_running(self) -> None:
        """The scene was reset, or the build had to be started again: what was open has no end."""
        self.begun -= sum(episode.counts and not episode.cut_off for episode in self._running.values())
        self._running.clear()

    def _cut_off(self, episode: _Running) -> None:
        episode.cut_off = True
        if episode.counts:
            self.cut_off += 1
            self._count(episode, Ending.CUT_OFF, 0.0)

    def _count(self, episode: _Running, ending: Ending, final_reward: float) -> None:
        self.played.append(PlayedEpisode(episode.total, episode.length, ending, episode.team, final_reward))


def _rewards(batch: DecisionBatch | TerminalBatch) -> Iterable[tuple[int, float]]:
    """Agent and reward; what its group earned is its own, too, as in training."""
    return zip(batch.agent_ids.tolist(), (batch.rewards + batch.group_rewards).tolist(), strict=True)
