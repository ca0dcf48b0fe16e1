"""Agents one message each: whatever they are like, at about 1 µs an agent (`agent_records` is quicker, for some)."""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from rl_src.envs.agent_records import AgentArrays
from rl_src.envs.batches import BoolArray, FloatArray
from rl_src.envs.buffers import ObservationBuffers
from rl_src.envs.encoding import encode_varint
from rl_src.envs.errors import AgentMismatchError, ProtocolError, SensorImageError
from rl_src.envs.images import BRIGHTEST, decode_png
from rl_src.envs.protocol import COMPRESSION_NONE
from rl_src.envs.specs import BehaviorSpec, ObservationSpec

BufferLender = Callable[[int], FloatArray]
"""Number of rows -> [rows, *shape], to be written to."""

_FEW_VALUES = 1_000
"""Observations of so many values are joined; larger ones are copied one by one, to where they stay."""

_ID, _REWARD = attrgetter("id"), attrgetter("reward")
_GROUP_ID, _GROUP_REWARD = attrgetter("group_id"), attrgetter("group_reward")
_MAX_STEP_REACHED = attrgetter("max_step_reached")
_OBSERVATIONS, _FLOAT_DATA = attrgetter("observations"), attrgetter("float_data")


class AgentReader:
    """Reads AgentInfoProtos (of `opaque_class`) of one behavior.

    Args:
        spec: of the behavior.
        images_channels_last: the build sends height, width, channels.
        lenders: one a sensor, of arrays [N, *shape] for large observations.
    """

    def __init__(self, spec: BehaviorSpec, images_channels_last: bool, lenders: Sequence[BufferLender]) -> None:
        self._spec = spec
        self._sensors = [
            _SensorReader(spec.name, sensor, images_channels_last, take)
            for sensor, take in zip(spec.observations, lenders, strict=True)
        ]
        self._mask_size = sum(spec.actions.discrete_branches)

    def read(self, agents: Sequence[Any]) -> AgentArrays:
        """A row for each agent.

        Raises:
            AgentMismatchError: an observation or a mask does not fit the spec of the handshake.
            SensorImageError: a picture cannot be decoded, or is of the wrong size.
            ProtocolError: values or masks that cannot be read.
        """
        sent = list(map(_OBSERVATIONS, agents))
        if not all(len(own) == len(self._sensors) for own in sent):
            self._raise_wrong_number(agents)
        # np.array alone: of numpy's functions, each costs some 50 µs to fetch into a processor that has been idle.
        return AgentArrays(
            agent_ids=np.array(list(map(_ID, agents)), np.int64),
            rewards=np.array(list(map(_REWARD, agents)), np.float32),
            group_ids=np.array(list(map(_GROUP_ID, agents)), np.int64),
            group_rewards=np.array(list(map(_GROUP_REWARD, agents)), np.float32),
            truncated=np.array(list(map(_MAX_STEP_REACHED, agents)), np.bool_),
            allowed=self._allowed(agents) if self._mask_size else None,
            observations=tuple(
                [sensor.read([own[index] for own in sent]) for index, sensor in enumerate(self._sensors)]
            ),
        )

    def _raise_wrong_number(self, agents: Sequence[Any]) -> None:
        expected = len(self._sensors)
        agent = next(agent for agent in agents if len(agent.observations) != expected)
        raise AgentMismatchError(
            f"Behavior {self._spec.name}: agent {agent.id} sent {len(agent.observations)} observations; "
            f"the behavior's first agent had {expected}."
        )

    def _allowed(self, agents: Sequence[Any]) -> BoolArray:
        """[N, sum of branches]. On the wire 1 = not allowed, and no mask at all = everything is allowed."""
        size = self._mask_size
        everything = bytes(size)
        masks = [agent.action_mask or everything for agent in agents]
        for agent, mask in zip(agents, masks, strict=True):
            if len(mask) != size:
                raise AgentMismatchError(
                    f"Behavior {self._spec.name}: agent {agent.id} sent {len(mask)} action mask entries; "
                    f"its branches have {size}."
                )
        disallowed = np.frombuffer(b"".join(masks), np.uint8).reshape(-1, size)
        if disallowed.max() > 1:
            raise ProtocolError(f"Behavior {self._spec.name}: an action mask holds other things than true and false.")
        return np.logical_not(disallowed)


class _SensorReader:
    """Reads what one sensor of a behavior sent (ObservationProtos of `opaque_class`)."""

    def __init__(self, behavior: str, sensor: ObservationSpec, channels_last: bool, take: BufferLender) -> None:
        self._name = f"Behavior {behavior}: sensor {sensor.name}"
        self._sensor = sensor
        self._channels_last = channels_last and sensor.is_image
        self._take = take
        if sensor.is_image:
            channels, height, width = sensor.shape
            self._pictures_memory = ObservationBuffers((height, width, channels))
        self._size = math.prod(sensor.shape)
        # What stands before the values in a serialized FloatData: a tag, and their length in bytes as a varint.
        self._head = b"\x0a" + encode_varint(4 * self._size) if self._size else b""
        self._length = len(self._head) + 4 * self._size

    def read(self, sent: list[Any]) -> FloatArray:
        """One row an agent: [N, *shape]."""
        packed = list(map(_FLOAT_DATA, sent))
        if all(packed) and self._size <= _FEW_VALUES and not self._channels_last:
            head = len(self._head)
            # Values are little-endian. A bytearray, so that the array may be written to.
            values = bytearray().join([self._checked(item)[head:] for item in packed])
            return np.frombuffer(values, np.float32).reshape(len(packed), *self._sensor.shape)
        if self._sensor.is_image and all(item.compression_type != COMPRESSION_NONE for item in sent):
            return self._pictures(sent)
        batch = self._take(len(sent))
        for row, (item, values) in enumerate(zip(sent, packed, strict=True)):
            if item.compression_type == COMPRESSION_NONE:
                batch[row] = self._floats(values)
            else:
                self._read_image(item, batch[row])
                batch[row] /= BRIGHTEST
        return batch

    def _pictures(self, sent: list[Any]) -> FloatArray:
        """In memory channels last, as PNG has them: turned while they become floats, they took three times as long."""
        batch = self._pictures_memory.take(len(sent)).transpose(0, 3, 1, 2)
        for row, item in enumerate(sent):
            self._read_image(item, batch[row])
        batch /= BRIGHTEST
        return batch

    def _floats(self, packed: bytes) -> FloatArray:
        values = np.frombuffer(self._checked(packed), np.float32, self._size, len(self._head))
        if self._channels_last:
            channels, height, width = self._sensor.shape
            # [H, W, C] -> [C, H, W]
            return values.reshape(height, width, channels).transpose(2, 0, 1)
        return values.reshape(self._sensor.shape)

    def _checked(self, packed: bytes) -> bytes:
        if len(packed) == self._length and packed.startswith(self._head):
            return packed
        if len(packed) == self._length:
            raise ProtocolError(f"{self._name} sent values that cannot be read.")
        raise AgentMismatchError(
            f"{self._name} sent {_count(packed)} values; its shape {self._sensor.shape} has {self._size}."
        )

    def _read_image(self, sent: Any, values: FloatArray) -> None:
        if not self._sensor.is_image:
            raise SensorImageError(f"{self._name} sent an image; its shape {self._sensor.shape} is not an image's.")
        decode_png(sent.compressed_data, tuple(sent.compressed_channel_mapping), self._sensor.name, out=values)


def _count(packed: bytes) -> int:
    """How many values a FloatData of another length holds: behind a tag and their length, which takes 1 to 5 bytes."""
    for head in range(2, 7):
        size = (len(packed) - head) // 4
        if size >= 0 and packed[1:head] == encode_varint(4 * size):
            return size
    return len(packed) // 4
