"""A policy for SoccerTwos written by hand, from what an agent observes: turn to the ball, run, kick it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_RAY_SIZE, _BALL_TAG = 8, 0
_FORWARD_RAYS, _BACKWARD_RAYS = 11, 3
_RUN, _NO_TURN, _TURN_LEFT, _TURN_RIGHT = 1, 0, 1, 2


def chase_the_ball(observations: Sequence[npt.NDArray[np.float32]]) -> tuple[int, int, int]:
    """Choices of the branches: forward, sideways, turn. `observations`: [264] and [72]."""
    forward, backward = (
        values[-rays * _RAY_SIZE :].reshape(rays, _RAY_SIZE)  # the newest of the stack
        for values, rays in zip(observations, (_FORWARD_RAYS, _BACKWARD_RAYS), strict=True)
    )
    seen = np.flatnonzero(forward[:, _BALL_TAG])
    if len(seen):
        # Rays go straight ahead, right, left, right, left, …
        nearest = int(seen[0])
        if nearest == 0:
            return _RUN, 0, _NO_TURN
        return _RUN, 0, _TURN_RIGHT if nearest % 2 else _TURN_LEFT
    # Behind, the sensor's right is the agent's left.
    hidden_left = bool(backward[1, _BALL_TAG])
    return 0, 0, _TURN_LEFT if hidden_left else _TURN_RIGHT


def chasing_scores() -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """`chase_the_ball` as scores linear in what is seen: weights [264, 9] and [72, 9], and a bias [9].

    The choices of the branches (forward, sideways, turn) stand one behind the other. A ray counts twice the one after
    it, so that the nearest to straight ahead decides.
    """
    forward, backward = np.zeros((264, 9)), np.zeros((72, 9))
    run, no_turn, turn_left, turn_right = 1, 6, 7, 8
    for ray in range(_FORWARD_RAYS):
        ball = -_FORWARD_RAYS * _RAY_SIZE + ray * _RAY_SIZE + _BALL_TAG
        forward[ball, run] = 1
        forward[ball, no_turn if ray == 0 else turn_right if ray % 2 else turn_left] = 2.0 ** (_FORWARD_RAYS - ray)
    backward[-_BACKWARD_RAYS * _RAY_SIZE + _RAY_SIZE + _BALL_TAG, turn_left] = 0.5
    bias = np.zeros(9)
    bias[[0, 3, turn_right]] = 0.5, 1, 0.25
    return [forward, backward], bias
