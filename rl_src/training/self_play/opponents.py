"""Self-play in a running training: gives teams their opponents' policies, and rates what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.sampling.sampler import BehaviorSampler
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.self_play.turns import SelfPlay

LOOK_DECISIONS = 250
"""Decisions of a behavior between two looks at what is due: well below the steps that settings count in."""


class Opponents:
    """Binds `SelfPlay` to the samplers of the behaviors that take part.

    Args:
        settings: of a behavior, by its name; None: it does not take part.
        seed: of the draws.
        copy_network: another network like the one that a behavior acts with.
    """

    def __init__(
        self,
        settings: Callable[[str], SelfPlaySettings | None],
        seed: int,
        copy_network: Callable[[str], PolicyNetwork],
    ) -> None:
        self._settings = settings
        self._play = SelfPlay(_OnDemand(settings), seed)
        self._copy_network = copy_network
        self._samplers: dict[str, BehaviorSampler] = {}
        self._teams: dict[str, tuple[str, int]] = {}  # by fully qualified behavior: behavior, team
        self._learned: dict[str, int] = {}  # decisions that were counted already

    def meet(self, name: str, team: int, sampler: BehaviorSampler) -> None:
        """A team appears. `name`: its fully qualified behavior."""
        behavior = sampler.behavior.behavior_name
        if self._settings(behavior) is None:
            return
        self._samplers[behavior] = sampler
        self._teams[name] = behavior, team
        self._learned.setdefault(behavior, sampler.decided)
        self._play.meet(behavior, team, _weights(sampler.network))
        self._assign(name)

    def rating(self, behavior: str) -> float | None:
        """The Elo rating of what is being learned; None for a behavior without self-play."""
        return self._play.rating(behavior) if behavior in self._samplers else None

    def is_due(self) -> bool:
        """Whether enough was played for another look."""
        return any(
            sampler.decided - self._learned[name] + sampler.opponent_decisions >= LOOK_DECISIONS
            for name, sampler in self._samplers.items()
        )

    def advance(self) -> bool:
        """Rate, save, swap and change teams as it is time; true when another team learns: then reset the scenes."""
        changed = False
        for behavior, sampler in self._samplers.items():
            for result in sampler.take_results():
                self._play.finish(*self._teams[result.name], result.final_reward)
            learned, self._learned[behavior] = sampler.decided - self._learned[behavior], sampler.decided
            others, sampler.opponent_decisions = sampler.opponent_decisions, 0
            turn = self._play.advance(
                behavior,
                learned=learned,
                others=others,
                weights=_weights(sampler.network),
                finished=not sampler.collects,
            )
            changed = changed or turn.team_changed
            for name, pair in self._teams.items():
                if pair in turn.swapped:
                    self._assign(name)
        return changed

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Plain values as JSON takes them, and arrays."""
        return self._play.state()

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another training.
        """
        self._play.set_state(state, arrays)

    def _assign(self, name: str) -> None:
        """What a team acts with from now on."""
        behavior, team = self._teams[name]
        sampler, weights = self._samplers[behavior], self._play.weights(behavior, team)
        if weights is None:
            sampler.opponents.pop(name, None)
            return
        if name not in sampler.opponents:
            sampler.opponents[name] = self._copy_network(behavior)
        sampler.opponents[name].load_state_dict(
            {key: torch.from_numpy(np.array(value)) for key, value in weights.items()}
        )


class _OnDemand(dict[str, SelfPlaySettings]):
    """Behaviors appear one by one, a checkpoint's before any."""

    def __init__(self, find: Callable[[str], SelfPlaySettings | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, name: str) -> SelfPlaySettings:
        found = self._find(name)
        if found is None:
            raise KeyError(f"{name} has no self-play settings")
        return found


def _weights(network: PolicyNetwork) -> Arrays:
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}
