"""Side channels: bytes of the user's own beside the RL messages, handled by Unity before the command they come with.

A frame is a 16-byte little-endian UUID, an int32 length, and that many bytes (all little-endian). Layouts as in
ml-agents: `mlagents_envs/side_channel` and `com.unity.ml-agents/Runtime/SideChannels`.
"""

import struct
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from rl_src.envs.errors import ProtocolError, WireLimitError

ENGINE_CONFIGURATION_ID = UUID("e951342c-4f7e-11ea-b238-784f4387d1f7")
ENVIRONMENT_PARAMETERS_ID = UUID("534c891e-810f-11ea-a9d0-822485860400")
STATISTICS_ID = UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520")

_LENGTH = struct.Struct("<i")
_MAX_FRAMES = 100_000
"""In one message."""

_MAX_KEYS = 1_000
_MAX_KEY_BYTES = 256
_KEPT_VALUES = 4_096
"""Of each figure; a game may record some in every step, and whoever trains need not ask for them."""


class SideChannel(ABC):
    """A channel: what is queued goes out with the next command; what Unity sent comes in by `receive`."""

    def __init__(self, channel_id: UUID) -> None:
        self.channel_id = channel_id
        self._queue: list[bytes] = []

    def send(self, payload: bytes) -> None:
        """Queue one message for Unity."""
        self._queue.append(payload)

    @abstractmethod
    def receive(self, payload: bytes) -> None:
        """Take one message from Unity."""

    def drain(self) -> list[bytes]:
        """Take the queued messages out."""
        queued, self._queue = self._queue, []
        return queued


class EngineConfigurationChannel(SideChannel):
    """Speed and quality of the engine. The values that Unity is sent when nothing is said are ML-Agents' own."""

    class _Setting(IntEnum):
        SCREEN_RESOLUTION = 0
        QUALITY_LEVEL = 1
        TIME_SCALE = 2
        TARGET_FRAME_RATE = 3
        CAPTURE_FRAME_RATE = 4

    def __init__(self) -> None:
        super().__init__(ENGINE_CONFIGURATION_ID)

    def configure(
        self,
        time_scale: float = 20.0,
        width: int = 80,
        height: int = 80,
        quality_level: int = 1,
        target_frame_rate: int = -1,
        capture_frame_rate: int = 60,
    ) -> None:
        """Queue all settings. `time_scale`: game seconds a real second, at most 100 (Unity's own limit)."""
        self.send(struct.pack("<iii", self._Setting.SCREEN_RESOLUTION, width, height))
        self.send(struct.pack("<ii", self._Setting.QUALITY_LEVEL, quality_level))
        self.send(struct.pack("<if", self._Setting.TIME_SCALE, time_scale))
        self.send(struct.pack("<ii", self._Setting.TARGET_FRAME_RATE, target_frame_rate))
        self.send(struct.pack("<ii", self._Setting.CAPTURE_FRAME_RATE, capture_frame_rate))

    def receive(self, payload: bytes) -> None:
        """Unity never sends on this channel; what comes is passed over."""


@dataclass(frozen=True)
class Uniform:
    """An environment parameter drawn anew whenever the scene reads it, between `low` and `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Gaussian:
    """An environment parameter drawn anew whenever the scene reads it, around `mean`."""

    mean: float
    standard_deviation: float


@dataclass(frozen=True)
class MultiRangeUniform:
    """An environment parameter drawn from several intervals, each as likely as it is wide."""

    intervals: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not self.intervals:
            raise ValueError("A multi-range sampler needs at least one interval.")


Sampler = Uniform | Gaussian | MultiRangeUniform


class EnvironmentParametersChannel(SideChannel):
    """Numbers that the scene reads by `Academy.Instance.EnvironmentParameters.GetWithDefault`.

    `seed`: of the samplers, which draw in the game.
    """

    _FLOAT, _SAMPLER = 0, 1
    _UNIFORM, _GAUSSIAN, _MULTI_RANGE_UNIFORM = 0, 1, 2

    def __init__(self, seed: int = 0) -> None:
        super().__init__(ENVIRONMENT_PARAMETERS_ID)
        self._seed = seed

    def set_parameters(self, parameters: Mapping[str, float | Sampler]) -> None:
        """Queue each parameter; Unity keeps it until it is sent again.

        Raises:
            ValueError: a key that is not ASCII; nothing is queued.
        """
        for payload in [self._packed(key, value) for key, value in parameters.items()]:
            self.send(payload)

    def receive(self, payload: bytes) -> None:
        """Unity never sends on this channel; what comes is passed over."""

    def _packed(self, key: str, value: float | Sampler) -> bytes:
        if not key.isascii():
            raise ValueError(f"Environment parameter {key!r}: its name may hold ASCII characters only.")
        head, numbers, seed = _packed_text(key), _numbers(value), self._seed_of(key)
        match value:
            case Uniform() | Gaussian():
                kind = self._UNIFORM if isinstance(value, Uniform) else self._GAUSSIAN
                return head + struct.pack("<iiiff", self._SAMPLER, seed, kind, *numbers)
            case MultiRangeUniform():
                # EnvironmentParametersChannel.set_multirangeuniform_sampler_parameters: a length-prefixed float list
                kind, count = self._MULTI_RANGE_UNIFORM, len(numbers)
                return head + struct.pack(f"<iiii{count}f", self._SAMPLER, seed, kind, count, *numbers)
            case _:
                return head + struct.pack("<if", self._FLOAT, *numbers)

    def _seed_of(self, key: str) -> int:
        """Another one for each parameter: two of the same range shall not draw the same numbers. An int32."""
        return (self._seed + zlib.crc32(key.encode())) & 0x7FFFFFFF


def _numbers(value: float | Sampler) -> list[float]:
    match value:
        case Uniform(low, high):
            return [low, high]
        case Gaussian(mean, standard_deviation):
            return [mean, standard_deviation]
        case MultiRangeUniform(intervals):
            return [bound for interval in intervals for bound in interval]
    return [float(value)]


class StatisticsChannel(SideChannel):
    """Figures that the game records by `Academy.Instance.StatsRecorder.Add`."""

    def __init__(self) -> None:
        super().__init__(STATISTICS_ID)
        self._values: dict[str, deque[float]] = {}

    def receive(self, payload: bytes) -> None:
        """Keep one value.

        Raises:
            WireLimitError: names that are too long, or too many.
        """
        (length,) = _LENGTH.unpack_from(payload)
        if not 0 <= length <= _MAX_KEY_BYTES:
            raise WireLimitError(
                f"A statistic's name has {length:,} bytes; at most {_MAX_KEY_BYTES} are taken.",
                "Give Academy.Instance.StatsRecorder.Add short names.",
            )
        key = payload[4 : 4 + length].decode("utf-8", "replace")
        (value,) = struct.unpack_from("<f", payload, 4 + length)
        values = self._values.get(key)
        if values is None:
            if len(self._values) >= _MAX_KEYS:
                raise WireLimitError(
                    f"The build recorded statistics under more than {_MAX_KEYS:,} names.",
                    "Do not make names of statistics while the game runs (of agents' ids, say).",
                )
            values = self._values[key] = deque(maxlen=_KEPT_VALUES)
        values.append(value)

    def take(self) -> dict[str, list[float]]:
        """What was recorded since the last call, in order; of each figure the latest 4,096 values."""
        taken, self._values = {key: list(values) for key, values in self._values.items()}, {}
        return taken


class SideChannels:
    """All channels of one build."""

    def __init__(self, channels: Iterable[SideChannel]) -> None:
        self._channels: dict[UUID, SideChannel] = {}
        for channel in channels:
            if channel.channel_id in self._channels:
                raise ValueError(f"Two side channels have the id {channel.channel_id}; ids must differ.")
            self._channels[channel.channel_id] = channel

    def outgoing(self) -> bytes:
        """Every queued message, framed, in the order of channels and sending."""
        return b"".join(
            channel.channel_id.bytes_le + _LENGTH.pack(len(payload)) + payload
            for channel in self._channels.values()
            for payload in channel.drain()
        )

    def incoming(self, data: bytes) -> None:
        """Hand every framed message to its channel; messages of unknown channels are passed over.

        Raises:
            ProtocolError: a frame is cut short.
            WireLimitError: there are too many.
        """
        offset = frames = 0
        while offset < len(data):
            frames += 1
            if frames > _MAX_FRAMES:
                raise WireLimitError(f"The build sent more than {_MAX_FRAMES:,} side channel messages at once.")
            start = offset + 20
            length = _LENGTH.unpack_from(data, offset + 16)[0] if start <= len(data) else -1
            if length < 0 or start + length > len(data):
                raise ProtocolError(
                    f"A side channel message of the build is cut short ({len(data) - offset} bytes left)."
                )
            channel = self._channels.get(UUID(bytes_le=data[offset : offset + 16]))
            if channel is not None:
                _deliver(channel, data[start : start + length])
            offset = start + length


def _deliver(channel: SideChannel, payload: bytes) -> None:
    try:
        channel.receive(payload)
    except struct.error as error:
        raise ProtocolError(f"A message on side channel {channel.channel_id} is cut short: {error}.") from error


def _packed_text(text: str) -> bytes:
    # ml-agents' OutgoingMessage writes ASCII; its C# reader takes ASCII too.
    encoded = text.encode("ascii")
    return _LENGTH.pack(len(encoded)) + encoded
