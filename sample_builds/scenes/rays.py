"""Ray perception sensors, as the examples with rays share them.

Each ray says what it hit first: one number a tag (1 = hit), 1 where it hit nothing at all, and the distance as a part
of the ray's length. Order of the rays: straight ahead, then right and left in turn. (com.unity.ml-agents Runtime:
RayPerceptionSensor.cs, RayPerceptionSensorComponentBase.cs.)
"""

import struct
from collections.abc import Sequence

from sample_builds.player.scene import float_observation, observation_field


def ray_degrees(rays_per_direction: int, max_degrees: float) -> list[float]:
    """Angles of all rays, clockwise from straight ahead."""
    delta = max_degrees / rays_per_direction
    return [0.0] + [side * delta * (ray + 1) for ray in range(rays_per_direction) for side in (1, -1)]


class SensorWriter:
    """Writes the observations of sensors whose sizes never change.

    Everything but the numbers is the same in each message, so it is serialized once and the numbers are put between.

    Args:
        sizes: how many numbers each sensor has. ML-Agents sends sensors in the order of their names.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self.names = sorted(sizes)
        self._frame: list[bytes] = [b""]
        for name in self.names:
            ones = [1.0] * sizes[name]
            before, _, after = observation_field([float_observation(name, ones)]).partition(pack(ones))
            self._frame[-1] += before
            self._frame.append(after)

    def write(self, payloads: Sequence[bytes]) -> bytes:
        """The field for `World.request_decision`. `payloads`: 32-bit floats of each sensor, in the order of `names`."""
        pieces = [self._frame[0]]
        for payload, after in zip(payloads, self._frame[1:], strict=True):
            pieces += (payload, after)
        return b"".join(pieces)


def pack(values: Sequence[float]) -> bytes:
    """Numbers as the wire has them: 32 bits each, little-endian."""
    return struct.pack(f"<{len(values)}f", *values)
