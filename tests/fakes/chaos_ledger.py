"""What happened in the sample build Chaos, episode by episode: as its ledger has it, or as an environment told it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Episode:
    """One agent's episode. Numbers are rounded, for sums may be built in another order."""

    decisions: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    reward: float = 0.0
    group_reward: float = 0.0
    end: str = ""
    final: Any = None

    def returns(self) -> tuple[float, float]:
        return round(self.reward, 4), round(self.group_reward, 4)


class Story:
    """Episodes by behavior and id on the wire."""

    def __init__(self) -> None:
        self.episodes: dict[tuple[str, int], Episode] = {}
        self.resets = 0

    def of(self, behavior: str, agent_id: int) -> Episode:
        return self.episodes.setdefault((behavior, int(agent_id)), Episode())

    def earn(self, behavior: str, agent_id: int, reward: float, group_reward: float) -> None:
        episode = self.of(behavior, agent_id)
        episode.reward += float(reward)
        episode.group_reward += float(group_reward)

    def decide(self, behavior: str, agent_id: int, sensors: list[Any], allowed: Any) -> None:
        self.of(behavior, agent_id).decisions.append((plain(sensors), np.asarray(allowed, bool).tolist()))

    def act(self, behavior: str, agent_id: int, continuous: Any, discrete: Any) -> None:
        action = (np.asarray(continuous, np.float32).tolist(), np.asarray(discrete, int).tolist())
        self.of(behavior, agent_id).actions.append(action)

    def finish(self, behavior: str, agent_id: int, sensors: list[Any], truncated: bool) -> None:
        episode = self.of(behavior, agent_id)
        episode.end = "truncated" if truncated else "terminated"
        episode.final = plain(sensors)

    def ended(self) -> dict[tuple[str, int], Episode]:
        """Those that ended and had a decision."""
        return {key: item for key, item in self.episodes.items() if item.end and item.decisions}

    def undecided(self) -> list[Episode]:
        """Those that ended without ever having been asked."""
        return [item for item in self.episodes.values() if item.end and not item.decisions]

    def total(self) -> tuple[float, float]:
        return (
            round(sum(item.reward for item in self.episodes.values()), 4),
            round(sum(item.group_reward for item in self.episodes.values()), 4),
        )


def plain(sensors: list[Any]) -> list[Any]:
    return [np.asarray(sensor, np.float32).ravel().tolist() for sensor in sensors]


def read_ledger(path: Path, branches: dict[str, list[int]]) -> Story:
    """`branches`: of each behavior; a mask that the build did not send allows all."""
    story = Story()
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "reset":
            story.resets += 1
            continue
        who = entry["behavior"], entry["id"]
        if entry["event"] == "action":
            story.act(*who, entry["continuous"], entry["discrete"])
            continue
        story.earn(*who, entry["reward"], entry["group_reward"])
        if entry["event"] == "terminal":
            story.finish(*who, entry["observations"], entry["interrupted"])
        else:
            disallowed = entry["disallowed"] or [False] * sum(branches[who[0]])
            story.decide(*who, entry["observations"], np.logical_not(disallowed))
    return story


def assert_same_episodes(told: Story, ledger: Story) -> None:
    """Ends, returns, observations, masks and actions of every finished episode; decisions of those still open."""
    mine, its = told.ended(), ledger.ended()
    assert mine.keys() == its.keys()
    for key, episode in its.items():
        assert mine[key].returns() == episode.returns(), key
        assert (mine[key].end, mine[key].final) == (episode.end, episode.final), key
    for key, episode in told.episodes.items():
        assert episode.decisions == ledger.episodes[key].decisions, key
        assert episode.actions == ledger.episodes[key].actions, key
    open_ones = {key for key, item in ledger.episodes.items() if item.decisions and not item.end}
    assert {key for key, item in told.episodes.items() if not item.end} == open_ones
