"""No game but every order of events that the wire allows, from a seed; with a ledger of what was reported.

`--ledger FILE` writes one JSON line for each report, in order. A test compares it with what its client handed on.
Behaviors appear late, agents skip decisions, episodes end with and without a next decision in the same message, by
termination and interruption, in messages of terminal steps only; masks and groups come and go. `--spec JSON` replaces
the default behaviors, in the form of `DEFAULT_SPEC`.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World, float_observation, observation_field

DEFAULT_SPEC: list[dict[str, Any]] = [
    {
        "name": "Walker?team=0",
        "observations": [[3], [2, 4]],
        "continuous": 2,
        "branches": [],
        "agents": 3,
        "from_step": 0,
    },
    {"name": "Guard?team=1", "observations": [[5]], "continuous": 0, "branches": [3, 2], "agents": 2, "from_step": 4},
    {
        "name": "Mixed?team=0",
        "observations": [[1, 2, 3], [1]],
        "continuous": 1,
        "branches": [200, 2],
        "agents": 2,
        "from_step": 7,
    },
]
END_CHANCE, INTERRUPT_CHANCE, REST_CHANCE, SKIP_CHANCE, MASK_CHANCE = 0.2, 0.4, 0.3, 0.3, 0.5


@dataclass
class _Agent:
    behavior: Behavior
    shapes: Sequence[Sequence[int]]
    group_id: int
    from_step: int
    id: int | None = None
    waiting: bool = False
    action: dict[str, list[float]] = field(default_factory=dict)


class ChaosScene(Scene):
    """Random events; see the module."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        ledger = option(arguments, "--ledger", "")
        self._ledger = Path(ledger).open("w", encoding="utf-8") if ledger else None  # noqa: SIM115 - open while it plays
        specs = json.loads(option(arguments, "--spec", "null")) or DEFAULT_SPEC
        self._step_number = 0
        self._agents = [
            _Agent(
                Behavior(spec["name"], spec["continuous"], tuple(spec["branches"])),
                spec["observations"],
                group_id=index % 2 * (1 + number),
                from_step=spec["from_step"],
            )
            for number, spec in enumerate(specs)
            for index in range(spec["agents"])
        ]

    def reset(self) -> None:
        """All agents that are already there begin a new episode."""
        self._write({"event": "reset"})
        for agent in self._agents:
            agent.id, agent.waiting = None, False
        while not self.world.infos:
            self._play()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Note the actions, then let something happen."""
        for name, protos in actions.items():
            asked = [agent for agent in self._order if agent.behavior.name == name]
            for agent, proto in zip(asked, protos, strict=True):
                agent.waiting = False
                action = {"continuous": list(proto.continuous_actions), "discrete": list(proto.discrete_actions)}
                self._write({"event": "action", "behavior": name, "id": agent.id, **action})
        self._play()

    def _play(self) -> None:
        numbers = self.world.random
        self._step_number += 1
        self._order: list[_Agent] = []
        for agent in self._agents:
            if agent.from_step >= self._step_number:
                continue
            if agent.id is not None and numbers.random() < END_CHANCE:
                self._report(agent, "terminal", interrupted=numbers.random() < INTERRUPT_CHANCE)
                agent.id = None
                if numbers.random() < REST_CHANCE:
                    continue
            if agent.id is None:
                agent.id = self.world.new_episode_id()
            if numbers.random() >= SKIP_CHANCE:
                self._report(agent, "decision")
                self._order.append(agent)

    def _report(self, agent: _Agent, event: str, interrupted: bool = False) -> None:
        numbers, behavior = self.world.random, agent.behavior
        assert agent.id is not None
        reward, group_reward = _float32(numbers.gauss(0, 1)), _float32(numbers.gauss(0, 1)) if agent.group_id else 0.0
        values = [[_float32(numbers.gauss(0, 1)) for _ in range(prod(shape))] for shape in agent.shapes]
        protos = [
            float_observation(_sensor_name(index, shape), value, shape)
            for index, (value, shape) in enumerate(zip(values, agent.shapes, strict=True))
        ]
        disallowed = _mask(numbers.random() < MASK_CHANCE, numbers.random, behavior) if event == "decision" else []
        entry = {"event": event, "behavior": behavior.name, "id": agent.id, "reward": reward, "observations": values}
        entry |= {"group_id": agent.group_id, "group_reward": group_reward}
        group = {"group_id": agent.group_id, "group_reward": group_reward}
        observations = observation_field(protos)
        if event == "decision":
            self._write({**entry, "disallowed": disallowed})
            self.world.request_decision(behavior, agent.id, observations, reward, disallowed=disallowed, **group)  # type: ignore[arg-type]
        else:
            self._write({**entry, "interrupted": interrupted})
            self.world.end_episode(behavior, agent.id, observations, reward, interrupted=interrupted, **group)  # type: ignore[arg-type]

    def _write(self, entry: Mapping[str, Any]) -> None:
        if self._ledger is not None:
            self._ledger.write(json.dumps(entry) + "\n")
            self._ledger.flush()


def _sensor_name(index: int, shape: Sequence[int]) -> str:
    # An image by any other name may be a camera's, for which a trainer would want a display.
    return f"{'GridSensor' if len(shape) == 3 else 'sensor'}_{index}"


def _mask(masked: bool, draw: Any, behavior: Behavior) -> list[bool]:
    """Disallowed choices; the first of each branch stays allowed. Empty: nothing is masked."""
    if not masked:
        return []
    return [choice > 0 and draw() < 0.5 for branch in behavior.discrete_branches for choice in range(branch)]


def _float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
