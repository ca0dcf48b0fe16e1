"""What was experienced, kept for learning from again and again: a ring of transitions.

A stretch of L decisions is L + 1 rows in a row, one an observation; the last one begins no transition. So each
observation is kept once, and the row after a transition's own is what came of it. The newest row always ends a
stretch, and rows are overwritten from the oldest on, so a transition never loses the row after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.training.algorithms.placement import sent
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.networks.rl_module import ACTION_MASK

_RINGS = ("actions", "rewards", "terminated", "begins", "masks")
_COUNTS = "counts"
_RANDOM = "random"


@dataclass(frozen=True)
class Transitions:
    """N transitions.

    Attributes:
        observations: [N, *shape] for each sensor.
        next_observations: what came next; to bootstrap from, where the episode was not terminated.
        actions: [N, A], packed as in `action_distribution`.
        rewards: [N].
        terminated: [N], 1 where nothing came after.
        masks: [N, sum(branches)], 1 = allowed.
        next_masks: of the next decision.
    """

    observations: tuple[torch.Tensor, ...]
    next_observations: tuple[torch.Tensor, ...]
    actions: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    masks: torch.Tensor
    next_masks: torch.Tensor

    def to(self, device: torch.device) -> "Transitions":
        """The same on a device."""
        if device.type == "cpu":
            return self
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in values.items():
            is_many = isinstance(value, tuple)
            values[name] = tuple(sent(part, device) for part in value) if is_many else sent(value, device)
        return Transitions(**values)


class ReplayBuffer:
    """The last transitions, drawn from at random.

    Args:
        capacity: rows, one a transition and one more a stretch. Memory is taken as they fill.
        shapes: of the sensors' observations.
        action_size: width of a packed action.
        mask_width: sum of the branches.
        seed: of what is drawn.
    """

    def __init__(
        self, capacity: int, shapes: Sequence[tuple[int, ...]], action_size: int, mask_width: int, seed: int
    ) -> None:
        self.capacity = capacity
        self._observations = [np.zeros((capacity, *shape), dtype=np.float32) for shape in shapes]
        self._actions = np.zeros((capacity, action_size), dtype=np.float32)
        self._rewards = np.zeros(capacity, dtype=np.float32)
        self._terminated = np.zeros(capacity, dtype=np.bool_)
        self._begins = np.zeros(capacity, dtype=np.bool_)
        self._masks = np.zeros((capacity, mask_width), dtype=np.bool_)
        self._rows = 0  # ever written
        self._transitions = 0  # among the rows that are kept
        self._cut: dict[str, tuple[int, int]] = {}  # by episode: the last row of its stretch, and the decision due then
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Transitions that can be drawn."""
        return self._transitions

    def add(self, episodes: Sequence[SingleAgentEpisode]) -> None:
        """Take in stretches as `BehaviorSampler.take` gives them.

        A stretch that was cut or truncated is bootstrapped from its last observation. What is allowed there is known
        when the episode goes on in a later call; until then, and where it never does, everything counts as allowed.
        """
        for episode in episodes:
            self._complete_mask(episode)
            # A longer stretch than the ring is cut: its end is the newest.
            length = min(len(episode), self.capacity - 1)
            if length > 0:
                self._add(episode, length)

    def sample(self, count: int) -> Transitions:
        """Draw `count` transitions, each independently of the others."""
        assert self._transitions, "nothing has been added yet"
        filled = min(self._rows, self.capacity)
        drawn: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        while len(drawn) < count:
            rows = self._rng.integers(filled, size=2 * count)
            drawn = np.concatenate([drawn, rows[self._begins[rows]]])
        drawn = drawn[:count]
        after = (drawn + 1) % self.capacity
        return Transitions(
            observations=tuple(torch.from_numpy(value[drawn]) for value in self._observations),
            next_observations=tuple(torch.from_numpy(value[after]) for value in self._observations),
            actions=torch.from_numpy(self._actions[drawn]),
            rewards=torch.from_numpy(self._rewards[drawn]),
            terminated=torch.from_numpy(self._terminated[drawn].astype(np.float32)),
            masks=torch.from_numpy(self._masks[drawn].astype(np.float32)),
            next_masks=torch.from_numpy(self._masks[after].astype(np.float32)),
        )

    def state(self) -> Arrays:
        """What is kept, and the state of the generator."""
        filled = min(self._rows, self.capacity)
        own = {f"observations.{i}": value[:filled] for i, value in enumerate(self._observations)}
        own |= {name: getattr(self, f"_{name}")[:filled] for name in _RINGS}
        return {
            **{name: np.array(value) for name, value in own.items()},
            _COUNTS: np.array([self._rows, self.capacity]),
            _RANDOM: _generator_state(self._rng),
        }

    def set_state(self, state: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another buffer.
        """
        try:
            rows, capacity = (int(value) for value in state[_COUNTS])
            if capacity != self.capacity:
                raise ValueError(f"replay_capacity was {capacity}")
            filled = min(rows, capacity)
            for i, value in enumerate(self._observations):
                value[:filled] = state[f"observations.{i}"]
            for name in _RINGS:
                getattr(self, f"_{name}")[:filled] = state[name]
            self._begins[filled:] = False
            _set_generator_state(self._rng, state[_RANDOM])
        except (KeyError, ValueError) as error:
            raise InvalidCheckpointError(f"the checkpoint's replay buffer does not fit: {error!r}.") from error
        self._rows, self._transitions = rows, int(self._begins[:filled].sum())
        self._cut = {}

    def _add(self, episode: SingleAgentEpisode, length: int) -> None:
        first = self._rows
        rows = np.arange(first, first + length + 1) % self.capacity
        own, last = rows[:-1], rows[-1]
        self._transitions += length - int(self._begins[rows].sum())
        for kept, value in zip(self._observations, episode.observations.data, strict=True):
            kept[rows] = value[-length - 1 :]
        self._actions[own], self._actions[last] = episode.actions.data[-length:], 0.0
        self._rewards[own], self._rewards[last] = episode.rewards.data[-length:], 0.0
        self._terminated[rows] = False
        self._terminated[rows[-2]] = episode.is_terminated
        self._begins[own], self._begins[last] = True, False
        masks = episode.extra_model_outputs.get(ACTION_MASK)
        self._masks[rows] = True
        if masks is not None:
            self._masks[own] = masks[-length:] > 0.5
        self._rows += length + 1
        if not episode.is_done:
            self._cut[episode.id_] = (self._rows - 1, episode.t_started + len(episode))

    def _complete_mask(self, episode: SingleAgentEpisode) -> None:
        """An episode goes on: what was allowed at the cut is known now."""
        row, due = self._cut.pop(episode.id_, (-1, -1))
        masks = episode.extra_model_outputs.get(ACTION_MASK)
        if masks is not None and due == episode.t_started and row >= self._rows - self.capacity:
            self._masks[row % self.capacity] = masks[0] > 0.5


def _generator_state(rng: np.random.Generator) -> NDArray[np.uint64]:
    """Of PCG64: two numbers of 128 bits, low half first, and what it has left over."""
    state = rng.bit_generator.state
    numbers = [state["state"]["state"], state["state"]["inc"]]
    halves = [part for number in numbers for part in (number % 2**64, number >> 64)]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def _set_generator_state(rng: np.random.Generator, values: NDArray[np.uint64]) -> None:
    low, high, inc_low, inc_high, has_left, left = (int(value) for value in values)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": low + (high << 64), "inc": inc_low + (inc_high << 64)},
        "has_uint32": has_left,
        "uinteger": left,
    }
