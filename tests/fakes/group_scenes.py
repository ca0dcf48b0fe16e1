"""Scenes in memory whose agents play in groups, with ML-Agents' rules: an agent may leave before its group is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from tests.fakes.unity_scenes import DuelScene

WAIT, ATTACK, EXIT = range(3)


@dataclass
class _Room:
    """One group's episode: who is still there, by id, and whether beside the dragon."""

    group: int
    agents: dict[int, bool]
    step: int = 0
    dragon: bool = True
    way: int = 0


@dataclass
class _Row:
    agent: int
    group: int
    seen: np.ndarray
    group_reward: float = 0.0


@dataclass
class _Rows:
    deciding: list[_Row] = field(default_factory=list)
    ended: list[_Row] = field(default_factory=list)


class DragonScene:
    """Groups of three in a room with a dragon, after ML-Agents' Dungeon Escape.

    Whoever attacks the dragon dies of it: its own episode ends at once, without a reward. Only the one that stands
    beside the dragon slays it so, and only then does the door open, to whoever walks to it for three steps. That is the
    group's only reward, of 1, and ends its episode, as ten steps without an escape do. So one agent has to leave early
    for what the others get later.

    An agent sees whether it stands beside the dragon, whether that lives, and how far the walk to the door has come.
    """

    behavior = BehaviorSpec("Dragon?team=0", (ObservationSpec("room", (6,)),), ActionSpec(0, (3,)))
    size, limit, walk = 3, 10, 3

    def __init__(self, rooms: int = 8, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.specs: Mapping[str, BehaviorSpec] = {self.behavior.name: self.behavior}
        self.escapes: list[bool] = []
        """Of each group's episode that has ended."""
        self._number = rooms
        self._next_id = 0
        self.closed = False

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        pass

    def send_reset(self, parameters: Mapping[str, float] | None = None) -> None:
        def begin() -> dict[str, BehaviorStep]:
            self._rooms = [self._new_room(number + 1) for number in range(self._number)]
            rows = _Rows()
            for room in self._rooms:
                rows.deciding += self._inside(room)
            return self._answer(rows)

        self._sent = begin

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        def play() -> dict[str, BehaviorStep]:
            chosen = iter(actions[self.behavior.name].discrete[:, 0].tolist())
            rows = _Rows()
            for number, room in enumerate(self._rooms):
                self._play(room, {agent: next(chosen) for agent in room.agents}, rows)
                if not room.agents:
                    self._rooms[number] = self._new_room(room.group)
                rows.deciding += self._inside(self._rooms[number])
            assert next(chosen, None) is None
            return self._answer(rows)

        self._sent = play

    def receive(self) -> Mapping[str, BehaviorStep]:
        return self._sent()

    def has_answer(self) -> bool:
        return True

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True

    def _play(self, room: _Room, chosen: Mapping[int, int], rows: _Rows) -> None:
        """One step of one room."""
        room.step += 1
        was_open = not room.dragon
        dead = [agent for agent, choice in chosen.items() if choice == ATTACK] if room.dragon else []
        room.dragon = room.dragon and not any(room.agents[agent] for agent in dead)
        room.way += was_open and EXIT in chosen.values()
        escaped = room.way == self.walk
        rows.ended += [row for row in self._inside(room) if row.agent in dead]
        for agent in dead:
            del room.agents[agent]
        if escaped or room.step == self.limit or not room.agents:
            self.escapes.append(escaped)
            rows.ended += self._inside(room, float(escaped))
            room.agents.clear()

    def _inside(self, room: _Room, group_reward: float = 0.0) -> list[_Row]:
        agents = room.agents.items()
        return [_Row(agent, room.group, self._observe(room, beside), group_reward) for agent, beside in agents]

    def _observe(self, room: _Room, beside: bool) -> np.ndarray:
        return np.concatenate([[beside, room.dragon], np.eye(self.walk + 1)[room.way]], dtype=np.float32)

    def _new_room(self, group: int) -> _Room:
        first = self._next_id
        self._next_id += self.size
        beside = self.rng.integers(self.size)
        return _Room(group, {first + place: bool(place == beside) for place in range(self.size)})

    def _answer(self, rows: _Rows) -> dict[str, BehaviorStep]:
        waiting = DecisionBatch(**_columns(rows.deciding), action_mask=np.ones((len(rows.deciding), 3), dtype=bool))
        ended = TerminalBatch(**_columns(rows.ended), truncated=np.zeros(len(rows.ended), dtype=bool))
        return {self.behavior.name: BehaviorStep(decisions=waiting, terminals=ended)}


def _columns(rows: list[_Row]) -> dict[str, Any]:
    return {
        "agent_ids": np.array([row.agent for row in rows], dtype=np.int64),
        "observations": (np.array([row.seen for row in rows], dtype=np.float32).reshape(len(rows), 6),),
        "rewards": np.zeros(len(rows), dtype=np.float32),
        "group_ids": np.array([row.group for row in rows], dtype=np.int64),
        "group_rewards": np.array([row.group_reward for row in rows], dtype=np.float32),
    }


class TeamDuelScene(DuelScene):
    """Pairs against pairs: the larger sum of two choices wins, and what that earns is the pair's, not an agent's."""

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        summed = {name: own.discrete.reshape(-1, 2).sum(axis=1).repeat(2)[:, None] for name, own in actions.items()}
        super().send_step({name: Actions(actions[name].continuous, sums) for name, sums in summed.items()})

    def receive(self) -> Mapping[str, BehaviorStep]:
        steps = super().receive()
        for team, name in enumerate(self.names):
            for batch in (steps[name].decisions, steps[name].terminals):
                batch.group_ids = np.arange(len(batch)) // 2 * 2 + team + 1
                batch.rewards, batch.group_rewards = batch.group_rewards, batch.rewards
        return steps
