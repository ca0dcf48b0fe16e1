"""What a build may send. It is somebody's program: what it says is looked at before memory is spent on it.

A few bytes of a message can become a hundred in memory (an empty submessage takes 2 on the wire and some 110 parsed),
so large messages are walked through, and refused, before protobuf makes objects of them. Ordinary ones are not: below
`_TRUSTED_BYTES` the worst there can be is some hundred megabytes.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from rl_src.envs.errors import ProtocolError, WireLimitError
from rl_src.envs.specs import BehaviorSpec, ObservationSpec

MAX_BEHAVIORS: Final = 100
MAX_AGENTS: Final = 100_000
"""In one message, of one behavior."""

MAX_DECODED_BYTES: Final = 1024**3
"""What the agents of one behavior in one message may become: PNGs unpack to a hundred times their size."""

MAX_SENSORS: Final = 256
MAX_AXES: Final = 8
MAX_VALUES: Final = 16 * 1024**2
"""That one agent observes at once; a camera of 1920 x 1080 has 6 million."""

MAX_ACTIONS: Final = 10_000
"""Continuous values, and choices of all branches together."""

MAX_NAME_CHARACTERS: Final = 200
"""Of a behavior or sensor, as it stands in a file's name (255 bytes on every common file system)."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line ends, what turns a text round: names are shown in terminals, reports and mails."""

_TRUSTED_BYTES: Final = 1024**2
_MAX_FIELDS: Final = 10_000
_MAX_OBSERVATIONS: Final = 1_000_000
_BYTES_AN_OBSERVATION: Final = 64
_MESSAGE_DEPTH: Final = (
    2  # UnityMessageProto, UnityOutputProto, UnityRLOutputProto: lists of agents are looked at later
)
_AGENT_TAG, _OBSERVATION_TAG = b"\x0a", b"\x6a"  # ListAgentInfoProto.value, AgentInfoProto.observations
_VARINT, _BITS_64, _BYTES, _BITS_32 = 0, 1, 2, 5

_VARIABLE: Final = "GAMEDOJO_MAX_MESSAGE_MB"
_MEGABYTE: Final = 1024**2


@dataclass(frozen=True)
class WireLimits:
    """What can be set. `message_bytes`: a scene of many cameras sends tens of megabytes."""

    message_bytes: int = 128 * _MEGABYTE

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "WireLimits":
        """By `GAMEDOJO_MAX_MESSAGE_MB`, where it is set.

        Raises:
            ValueError: it is no positive number.
        """
        text = (os.environ if environment is None else environment).get(_VARIABLE)
        if not text:
            return cls()
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 4096):
            raise ValueError(f"{_VARIABLE} is {text!r}; a number of megabytes from 1 to 4095 is right.")
        return cls(int(text) * _MEGABYTE)


def require_sound_spec(spec: BehaviorSpec) -> None:
    """Of what a behavior says of itself.

    Raises:
        ProtocolError: sizes that cannot be.
        WireLimitError: sizes that are too large.
    """
    _require_name("behavior", spec.behavior_name)
    if len(spec.observations) > MAX_SENSORS:
        raise WireLimitError(
            f"Behavior {spec.name} has {len(spec.observations)} sensors; at most {MAX_SENSORS} are taken."
        )
    values = sum(_size(spec, sensor) for sensor in spec.observations)
    if values > MAX_VALUES:
        raise WireLimitError(
            f"An agent of behavior {spec.name} observes {values:,} values at once; at most {MAX_VALUES:,} are taken."
        )
    sizes = (spec.actions.continuous_size, *spec.actions.discrete_branches)
    if min(sizes) < 0 or 0 in spec.actions.discrete_branches:
        raise ProtocolError(f"Behavior {spec.name} has action sizes {_few(sizes)}; they cannot be less than 1.")
    if sum(sizes) > MAX_ACTIONS or len(sizes) > MAX_ACTIONS:
        raise WireLimitError(f"Behavior {spec.name} has {sum(sizes):,} actions; at most {MAX_ACTIONS:,} are taken.")


def require_bearable_message(message: bytes) -> None:
    """Of a whole UnityMessageProto.

    Raises:
        WireLimitError: it has more fields than any honest build sends.
    """
    if len(message) > _TRUSTED_BYTES:
        _Fields(message).count(0, len(message), _MESSAGE_DEPTH)


def require_bearable_agents(agents: bytes) -> None:
    """Of a serialized ListAgentInfoProto that is going to be parsed.

    Raises:
        WireLimitError: too many agents, or observations.
    """
    if len(agents) <= _TRUSTED_BYTES:
        return
    # Counting a byte is quick, and there are not more records than bytes that can begin one.
    few_agents = agents.count(_AGENT_TAG) <= MAX_AGENTS
    if few_agents and agents.count(_OBSERVATION_TAG) <= len(agents) // _BYTES_AN_OBSERVATION:
        return
    fields, observations = _Fields(agents), 0
    for number, (_, start, end) in enumerate(fields.walk(0, len(agents))):
        require_few_agents(number + 1)
        for tag, _, _ in fields.walk(start, end):
            observations += tag == _OBSERVATION_TAG[0]
            if observations > _MAX_OBSERVATIONS:
                raise WireLimitError(f"The build sent more than {_MAX_OBSERVATIONS:,} observations in one message.")


def require_few_agents(agents: int) -> None:
    """Of the agents of one behavior in one message.

    Raises:
        WireLimitError: too many.
    """
    if agents > MAX_AGENTS:
        raise WireLimitError(f"The build sent more than {MAX_AGENTS:,} agents of one behavior in one message.")


class _Fields:
    """The fields of a message, whatever they mean."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._count = 0

    def count(self, start: int, end: int, depth: int) -> None:
        """Those of a message and of what lies in it, down to `depth`."""
        for tag, inner_start, inner_end in self.walk(start, end):
            self._count += 1
            if self._count > _MAX_FIELDS:
                raise WireLimitError(f"The build sent a message of more than {_MAX_FIELDS:,} parts.")
            if depth and tag & 7 == _BYTES:
                self.count(inner_start, inner_end, depth - 1)

    def walk(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Tag, begin and end of each field's value; ends where the message cannot be read, which protobuf will tell."""
        position = start
        while position < end:
            tag, position = self._varint(position, end)
            kind, value = tag & 7, position
            if kind == _VARINT:
                _, position = self._varint(position, end)
            elif kind == _BYTES:
                length, value = self._varint(position, end)
                position = value + length
            else:
                position += {_BITS_64: 8, _BITS_32: 4}.get(kind, 0)
            if position > end:
                return
            yield tag, value, position

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """Its value and the position behind it; behind the end for one that is cut short."""
        value = shift = 0
        while position < end and shift < 70:
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        return 0, end + 1


def _size(spec: BehaviorSpec, sensor: ObservationSpec) -> int:
    """Number of values; the check of each axis keeps the product from growing without bound."""
    _require_name("sensor", sensor.name)
    if len(sensor.shape) > MAX_AXES:
        raise WireLimitError(
            f"Behavior {spec.name}: sensor {sensor.name} has {len(sensor.shape)} axes; at most {MAX_AXES} are taken."
        )
    if min(sensor.shape, default=0) < 0 or len(sensor.properties) not in (0, len(sensor.shape)):
        raise ProtocolError(
            f"Behavior {spec.name}: sensor {sensor.name} has the shape {sensor.shape} and {len(sensor.properties)} "
            "dimension properties, which cannot be."
        )
    size = 1
    for length in sensor.shape:
        size *= length
    if size > MAX_VALUES:
        raise WireLimitError(
            f"Behavior {spec.name}: sensor {sensor.name} of shape {sensor.shape} has {size:,} values; at most "
            f"{MAX_VALUES:,} are taken."
        )
    return size


def _require_name(what: str, name: str) -> None:
    if len(quote(name)) > MAX_NAME_CHARACTERS:
        raise WireLimitError(
            f"The name of a {what} is too long: {name[:40]!r}… has {len(name):,} characters (letters other than a to z "
            f"count more than once; {MAX_NAME_CHARACTERS} is the most)."
        )
    if _UNSEEN.search(name):
        raise ProtocolError(
            f"The name of a {what} has characters in it that nobody sees: {name!a}.", "Rename it in Unity."
        )


def _few(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes[:8])) + (", …" if len(sizes) > 8 else "")
