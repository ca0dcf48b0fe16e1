"""The Unity side of the side channels: engine configuration and environment parameters in, statistics out."""

import random
import struct
from collections.abc import Callable, Iterator
from uuid import UUID

ENGINE_CONFIGURATION_ID = UUID("e951342c-4f7e-11ea-b238-784f4387d1f7").bytes_le
ENVIRONMENT_PARAMETERS_ID = UUID("534c891e-810f-11ea-a9d0-822485860400").bytes_le
REPLAY_ID = UUID("7c5a1d60-0d1c-4f0e-9c55-9d2f0a3b6e11").bytes_le
"""gamedojo's own: whether sketches are wanted comes in, sketches go out (docs/replays.md)."""
STATISTICS_ID = UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520").bytes_le

_ENGINE_SETTINGS = {
    0: ("screen_resolution", "<ii"),
    1: ("quality_level", "<i"),
    2: ("time_scale", "<f"),
    3: ("target_frame_rate", "<i"),
    4: ("capture_frame_rate", "<i"),
}
_FLOAT, _SAMPLER = 0, 1
_UNIFORM, _GAUSSIAN, _MULTI_RANGE = 0, 1, 2


def frames(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Channel id and payload of each message."""
    offset = 0
    while offset < len(data):
        (length,) = struct.unpack_from("<i", data, offset + 16)
        yield data[offset : offset + 16], data[offset + 20 : offset + 20 + length]
        offset += 20 + length


def frame(channel_id: bytes, payload: bytes) -> bytes:
    """One message, ready to send."""
    return channel_id + struct.pack("<i", len(payload)) + payload


def statistic(key: str, value: float, aggregation: int = 0) -> bytes:
    """A framed message of the statistics channel. `aggregation`: 0 average, 1 most recent, 2 sum, 3 histogram."""
    text = key.encode("ascii")
    return frame(STATISTICS_ID, struct.pack("<i", len(text)) + text + struct.pack("<fi", value, aggregation))


def replay_picture(sketch: str) -> bytes:
    """A framed message of the replay channel."""
    text = sketch.encode()
    return frame(REPLAY_ID, struct.pack("<i", len(text)) + text)


def replay_wanted(payload: bytes) -> bool:
    """Whether the trainer wants sketches from now on."""
    (wanted,) = struct.unpack_from("<i", payload)
    return bool(wanted)


def engine_setting(payload: bytes) -> tuple[str, tuple[float, ...]]:
    """Name and values of an engine configuration message."""
    (kind,) = struct.unpack_from("<i", payload)
    name, layout = _ENGINE_SETTINGS[kind]
    return name, struct.unpack_from(layout, payload, 4)


def environment_parameter(payload: bytes) -> tuple[str, Callable[[], float]]:
    """Name of an environment parameter, and a function that yields its value (a sampler draws each time)."""
    (length,) = struct.unpack_from("<i", payload)
    key = payload[4 : 4 + length].decode("ascii")
    offset = 4 + length
    (kind,) = struct.unpack_from("<i", payload, offset)
    if kind == _FLOAT:
        (value,) = struct.unpack_from("<f", payload, offset + 4)
        return key, lambda: float(value)
    seed, sampler = struct.unpack_from("<ii", payload, offset + 4)
    return key, _sampler(random.Random(seed), sampler, payload[offset + 12 :])


def _sampler(numbers: random.Random, kind: int, arguments: bytes) -> Callable[[], float]:
    if kind == _MULTI_RANGE:
        (count,) = struct.unpack_from("<i", arguments)
        limits = struct.unpack_from(f"<{count}f", arguments, 4)
        ranges = list(zip(limits[::2], limits[1::2], strict=True))
        weights = [high - low for low, high in ranges]
        return lambda: numbers.uniform(*numbers.choices(ranges, weights)[0])
    first, second = struct.unpack_from("<ff", arguments)
    if kind == _GAUSSIAN:
        return lambda: numbers.gauss(first, second)
    return lambda: numbers.uniform(first, second)
