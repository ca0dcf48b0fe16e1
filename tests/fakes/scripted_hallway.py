"""A hand-written player of the sample build Hallway: wanders, remembers the symbol, goes to the goal that matches."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RAYS, RAY_SIZE, TAGS = 5, 6, 4
AHEAD, RIGHT_RAYS, LEFT_RAYS = 0, slice(1, None, 2), slice(2, None, 2)
FORWARD, BACK, RIGHT, LEFT = range(4)
NEAR = 0.5
"""Parts of a ray's length: what is nearer is in the way."""
TURNS = (1, 3)


class HallwayScript:
    """One agent in one episode after another. What it knows comes from its observations alone.

    With `remembers=False` it forgets the symbol as soon as it is out of sight, and takes the first goal that it sees.
    """

    def __init__(self, seed: int = 0, *, remembers: bool = True) -> None:
        self._numbers = random.Random(seed)
        self._remembers = remembers
        self.begin_episode()

    def begin_episode(self) -> None:
        """Forget the last episode."""
        self._symbol: int | None = None
        self._turn, self._turns_left = RIGHT, 0

    def choose(self, observation: npt.NDArray[np.float32]) -> int:
        """The choice for one decision. `observation`: [30], as the scene sends it."""
        rays = observation.reshape(RAYS, RAY_SIZE)
        self._look_for_symbol(rays)
        seen_goals = [(ray, goal) for ray in range(RAYS) for goal in (0, 1) if rays[ray, goal]]
        wanted = [ray for ray, goal in seen_goals if not self._remembers or goal == self._symbol]
        if wanted:
            self._turns_left = 0
            return _steer(wanted)
        return self._wander(rays, [ray for ray, _ in seen_goals])

    def _look_for_symbol(self, rays: npt.NDArray[np.float32]) -> None:
        for symbol in (0, 1):
            if rays[:, 2 + symbol].any():
                self._symbol = symbol

    def _wander(self, rays: npt.NDArray[np.float32], goals: Sequence[int]) -> int:
        """Straight on until something is in the way, then to the side with more room for as long as chance says."""
        if self._turns_left == 0 and (AHEAD in goals or (not rays[AHEAD, TAGS] and rays[AHEAD, TAGS + 1] < NEAR)):
            self._turn = RIGHT if _room(rays[RIGHT_RAYS]) > _room(rays[LEFT_RAYS]) else LEFT
            self._turns_left = self._numbers.randint(*TURNS)
        if self._turns_left > 0:
            self._turns_left -= 1
            return self._turn
        return FORWARD


def _room(rays: npt.NDArray[np.float32]) -> float:
    """How far these rays look, in ray lengths; goals are no room."""
    return float((rays[:, TAGS + 1] * (1 - rays[:, :2].max(axis=1))).sum())


def _steer(rays: Sequence[int]) -> int:
    """Towards something that these rays see. Odd rays look to the right, even ones but the first to the left."""
    if AHEAD in rays:
        return FORWARD
    return RIGHT if rays[0] % 2 else LEFT
