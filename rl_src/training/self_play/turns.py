"""Self-play: one team learns, the others play past selves, and ratings tell whether the learner becomes stronger.

The returns of self-play say little: against an opponent that grows too, a stronger policy wins no more often. So every
policy has an Elo rating, and the training's curve is the learner's.

Settings, turns and counters are those of ML-Agents 1.1.0 (`mlagents/trainers/ghost/{trainer,controller}.py`), so that
its trainer files hold and its users' curves can be compared. Two things differ on purpose: a past self that is in play
stays that one, with its rating, when it falls out of the pool, where ML-Agents rates whatever took its place; and with
more than two teams a result counts against all opponents alike, where ML-Agents takes the last team.

Nothing here plays or learns: the training tells what happened, and asks who plays with what.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.self_play.past_selves import Arrays, PastSelf, PastSelves, SelfPlaySettings

WIN, DRAW, LOSS = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Turn:
    """What changed in `SelfPlay.advance`.

    `saved`: the pool has one more. `swapped`: teams, as (behavior, team), that play other weights from now on: ask
    `weights`. `team_changed`: another team learns; reset the scenes, and leave out what was played half.
    """

    saved: bool = False
    swapped: tuple[tuple[str, int], ...] = ()
    team_changed: bool = False


def expected_score(rating: float, opponent: float) -> float:
    """The share of points to be expected: 1 / (1 + 10^((opponent - rating) / 400)).

    The logistic form of A. E. Elo, The Rating of Chessplayers, Past and Present (1978); 400 points are 10 to 1.
    """
    return 1.0 / (1.0 + math.pow(10.0, (opponent - rating) / 400.0))


def score(final_reward: float) -> float:
    """Win, draw or loss by the sign of an episode's last reward, group reward included: ML-Agents' convention."""
    return WIN if final_reward > 0 else LOSS if final_reward < 0 else DRAW


class SelfPlay:
    """Who learns, who plays what, and how strong they are. One for the whole training, whatever its behaviors.

    A game of equals has one behavior with several teams; an asymmetric one has several behaviors, with a team each. In
    both one team learns at a time, and teams take turns in the order in which they appeared.

    Args:
        settings: of the behaviors that take part, by behavior name; asked when a behavior appears.
        seed: of the draws.
    """

    def __init__(self, settings: Mapping[str, SelfPlaySettings], seed: int) -> None:
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._turns: deque[int] = deque()  # teams; the first one learns
        self._behaviors: dict[str, PastSelves] = {}

    @property
    def learning_team(self) -> int | None:
        """None until a team has appeared."""
        return self._turns[0] if self._turns else None

    def meet(self, behavior: str, team: int, weights: Arrays) -> None:
        """A team appears; one that is known already, as after a resume, stays as it is.

        Args:
            behavior: its name, without team.
            team: the team's number.
            weights: of the behavior's policy: where it is new, the pool's first; copied.
        """
        if behavior not in self._behaviors:
            self._behaviors[behavior] = PastSelves(self._settings[behavior], weights)
        own = self._behaviors[behavior]
        own.playing.setdefault(team, PastSelf(own.newest, own.rating, is_newest=True))
        if team not in self._turns:
            self._turns.append(team)

    def learns(self, behavior: str, team: int) -> bool:
        """Whether this team's episodes are learned from."""
        return behavior in self._behaviors and team == self.learning_team

    def weights(self, behavior: str, team: int) -> Arrays | None:
        """What a team plays with; None: what is being learned, as it becomes."""
        return None if self.learns(behavior, team) else self._behaviors[behavior].playing[team].weights

    def rating(self, behavior: str) -> float:
        """The Elo rating of the policy that is being learned; for the progress line."""
        return self._behaviors[behavior].rating

    def finish(self, behavior: str, team: int, final_reward: float) -> None:
        """The episode of one agent has terminated. Leave truncated ones out: nobody has won them.

        Only the learning team's episodes move ratings. The sum of all ratings stays the same.

        Args:
            behavior: its name, without team.
            team: the agent's team.
            final_reward: of its last step, group reward included.
        """
        opponents = self._opponents()
        if not opponents or not self.learns(behavior, team):
            return
        own = self._behaviors[behavior]
        expected = sum(expected_score(own.rating, theirs.rating_of(played)) for theirs, played in opponents)
        change = own.settings.k_factor * (score(final_reward) - expected / len(opponents))
        own.rating += change
        for theirs, played in opponents:
            theirs.rate(played, -change / len(opponents))

    def advance(self, behavior: str, *, learned: int, others: int, weights: Arrays, finished: bool = False) -> Turn:
        """Count what was played since the last call; save, swap and change teams when it is time.

        Args:
            behavior: its name, without team.
            learned: decisions of its learning team.
            others: decisions of its other teams.
            weights: what it has learned so far; copied.
            finished: it learns no more; if it is its team's turn, that is over.
        """
        own = self._behaviors[behavior]
        own.count(learned, others, weights)
        if saved := own.is_save_due:
            own.save()
        is_over = finished and self.learning_team in own.playing
        if (own.is_team_change_due or is_over) and len(self._turns) > 1:
            own.team_changed()
            self._turns.rotate(-1)
            swapped = [pair for name in self._behaviors for pair in self._swap(name)]
            return Turn(saved, tuple(swapped), team_changed=True)
        return Turn(saved, tuple(self._swap(behavior) if own.is_swap_due else ()))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values as JSON takes them, and arrays by "<number of the behavior>/<number of the policy>/<name>"."""
        behaviors: dict[str, Any] = {}
        arrays: dict[str, NDArray[Any]] = {}
        for index, (name, own) in enumerate(self._behaviors.items()):
            behaviors[name], weights = own.state()
            arrays |= {f"{index}/{key}": array for key, array in weights.items()}
        return {"turns": list(self._turns), "draws": self._rng.bit_generator.state, "behaviors": behaviors}, arrays

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`; what was met before is forgotten.

        Raises:
            InvalidCheckpointError: it is of another training.
        """
        try:
            restored: dict[str, PastSelves] = {}
            for index, (name, own) in enumerate(state["behaviors"].items()):
                prefix = f"{index}/"
                theirs = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
                restored[name] = PastSelves.restored(self._settings[name], own, theirs)
            self._rng.bit_generator.state = state["draws"]
            self._turns, self._behaviors = deque(state["turns"]), restored
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InvalidCheckpointError(f"the checkpoint's self-play state does not fit: {error!r}.") from error

    def _opponents(self) -> list[tuple[PastSelves, PastSelf]]:
        """What the teams play that do not learn. Behaviors of the learner's own team are its partners."""
        return [
            (own, played)
            for own in self._behaviors.values()
            for team, played in own.playing.items()
            if team != self.learning_team
        ]

    def _swap(self, behavior: str) -> list[tuple[str, int]]:
        """Draw anew what each team of a behavior plays; the one that learns plays the newest anyway."""
        own = self._behaviors[behavior]
        own.swapped()
        for team in own.playing:
            learns = team == self.learning_team
            own.playing[team] = PastSelf(own.newest, own.rating, is_newest=True) if learns else own.draw(self._rng)
        return [(behavior, team) for team in own.playing]
