"""The policies that a behavior has been: the pool that self-play draws its opponents from."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.training.errors import InvalidTrainingConfigError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class SelfPlaySettings:
    """By ML-Agents' names. Steps are agent decisions of one behavior.

    Args:
        save_steps: decisions of the learning team after which its policy is added to the pool.
        team_change: decisions of the learning team after which another team learns; None: five times `save_steps`.
        swap_steps: decisions of the other teams after which opponents are drawn again.
        window: past selves in the pool; the oldest falls out.
        play_against_latest_model_ratio: how probably a team gets the newest policy instead of a past self.
        initial_elo: rating that a behavior begins with.
        k_factor: the most that one episode can move a rating. ML-Agents has 1 and no setting for it: the episode of
            every single agent counts, so they come fast.
    """

    save_steps: int = 20_000
    team_change: int | None = None
    swap_steps: int = 2_000
    window: int = 10
    play_against_latest_model_ratio: float = 0.5
    initial_elo: float = 1200.0
    k_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("save_steps", "team_change", "swap_steps", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidTrainingConfigError(f"self_play.{name} must be at least 1, not {value}.")
        ratio = self.play_against_latest_model_ratio
        if not 0 <= ratio <= 1:
            raise InvalidTrainingConfigError(
                f"self_play.play_against_latest_model_ratio must be between 0 and 1, not {ratio}."
            )

    @property
    def steps_to_team_change(self) -> int:
        """`team_change`, or its default."""
        return 5 * self.save_steps if self.team_change is None else self.team_change


@dataclass(eq=False)
class PastSelf:
    """A policy as it was. `is_newest`: it was the learner's own when it was drawn, and shares the learner's rating."""

    weights: Arrays
    rating: float
    is_newest: bool = False


class PastSelves:
    """The pool of one behavior, what its teams play of it, its rating and its counters.

    Args:
        settings: its self-play settings.
        weights: of the untrained policy, the pool's first.
    """

    def __init__(self, settings: SelfPlaySettings, weights: Arrays) -> None:
        self.settings = settings
        self.rating = settings.initial_elo
        self.newest = _copied(weights)
        self.pool: deque[PastSelf] = deque(maxlen=settings.window)
        self.playing: dict[int, PastSelf] = {}  # by team
        self.learned_steps = self.other_steps = 0
        self._last = {"save": 0, "team_change": 0, "swap": 0}
        self.save()

    def save(self) -> None:
        """Add the newest policy to the pool."""
        self.pool.append(PastSelf(self.newest, self.rating))
        self._last["save"] = self.learned_steps

    def draw(self, rng: np.random.Generator) -> PastSelf:
        """The newest policy, or one of the pool, each as probable as the others."""
        if rng.random() < self.settings.play_against_latest_model_ratio:
            return PastSelf(self.newest, self.rating, is_newest=True)
        return self.pool[int(rng.integers(len(self.pool)))]

    def count(self, learned: int, others: int, weights: Arrays) -> None:
        """Decisions of the learning team and of the others, and what the learner has become."""
        self.learned_steps += learned
        self.other_steps += others
        if learned:
            self.newest = _copied(weights)

    @property
    def is_save_due(self) -> bool:
        """Whether the learning team has played `save_steps` since the last one."""
        return self.learned_steps - self._last["save"] >= self.settings.save_steps

    @property
    def is_team_change_due(self) -> bool:
        """Whether the learning team has played `team_change` since this behavior's last one."""
        return self.learned_steps - self._last["team_change"] >= self.settings.steps_to_team_change

    @property
    def is_swap_due(self) -> bool:
        """Whether the other teams have played `swap_steps` since the last one."""
        return self.other_steps - self._last["swap"] >= self.settings.swap_steps

    def team_changed(self) -> None:
        """Count anew to the next change of teams."""
        self._last["team_change"] = self.learned_steps

    def swapped(self) -> None:
        """Count anew to the next swap."""
        self._last["swap"] = self.other_steps

    def rate(self, opponent: PastSelf, change: float) -> None:
        """Move the rating of what one of the teams plays."""
        if opponent.is_newest:
            self.rating += change
        else:
            opponent.rating += change

    def rating_of(self, opponent: PastSelf) -> float:
        """The rating of what one of the teams plays."""
        return self.rating if opponent.is_newest else opponent.rating

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values, and arrays by "<number of the policy>/<name>". A policy that several places hold comes once."""
        policies = list(dict.fromkeys([*self.pool, *self.playing.values()]))
        state = {
            "rating": self.rating,
            "steps": [self.learned_steps, self.other_steps],
            "last": dict(self._last),
            "policies": [{"rating": item.rating, "is_newest": item.is_newest} for item in policies],
            "pool": [policies.index(item) for item in self.pool],
            "playing": [[team, policies.index(item)] for team, item in self.playing.items()],
        }
        weights = [item.weights for item in policies] + [self.newest]
        return state, {f"{index}/{name}": array for index, own in enumerate(weights) for name, array in own.items()}

    @classmethod
    def restored(cls, settings: SelfPlaySettings, state: Mapping[str, Any], arrays: Arrays) -> "PastSelves":
        """The inverse of `state`. A smaller `window` than before keeps the newest past selves.

        Raises:
            KeyError, IndexError, TypeError: something is missing.
        """
        found: dict[int, dict[str, NDArray[Any]]] = {}
        for key, array in arrays.items():
            index, name = key.split("/", 1)
            found.setdefault(int(index), {})[name] = array
        policies = [PastSelf(found[index], **item) for index, item in enumerate(state["policies"])]
        restored = cls(settings, found[len(policies)])
        restored.rating = state["rating"]
        restored.learned_steps, restored.other_steps = state["steps"]
        restored._last = dict(state["last"])
        restored.pool = deque((policies[index] for index in state["pool"]), maxlen=settings.window)
        restored.playing = {team: policies[index] for team, index in state["playing"]}
        return restored


def _copied(weights: Arrays) -> dict[str, NDArray[Any]]:
    return {name: np.array(value) for name, value in weights.items()}
