"""A hand-written player of the sample build 3DBall: a proportional-derivative controller that never drops the ball."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_POSITION_GAIN, _VELOCITY_GAIN = 0.2, 0.25
"""The tilt to aim at, in radians for a metre and for a metre per second."""
_TURN_GAIN = 6.0


def balance(observations: FloatArray) -> FloatArray:
    """Actions for all agents. observations: [N, 8] -> [N, 2]."""
    tilt_z, tilt_x = 2 * observations[:, 0], 2 * observations[:, 1]
    # A turn about z lets the ball roll to -x, one about x to +z.
    aim_z = _POSITION_GAIN * observations[:, 2] + _VELOCITY_GAIN * observations[:, 5]
    aim_x = -_POSITION_GAIN * observations[:, 4] - _VELOCITY_GAIN * observations[:, 7]
    turns = np.stack([aim_z - tilt_z, aim_x - tilt_x], axis=1)
    actions: FloatArray = np.clip(_TURN_GAIN * turns, -1, 1).astype(np.float32)
    return actions
