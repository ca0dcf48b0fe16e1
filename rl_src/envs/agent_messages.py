"""Agents one message each: whatever they are like, at about 1 µs an agent (`agent_records` is quicker, for some)."""

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from rl_src.envs.agent_records import AgentArrays
from rl_src.envs.batches import BoolArray, FloatArray
from rl_src.envs.encoding import encode_varint
from rl_src.envs.errors import AgentMismatchError, ProtocolError, SensorImageError
from rl_src.envs.images import decode_png
from rl_src.envs.protocol import COMPRESSION_NONE
from rl_src.envs.specs import BehaviorSpec, ObservationSpec

_ID, _REWARD = attrgetter("id"), attrgetter("reward")
_GROUP_ID, _GROUP_REWARD = attrgetter("group_id"), attrgetter("group_reward")
_MAX_STEP_REACHED = attrgetter("max_step_reached")
_OBSERVATIONS, _FLOAT_DATA = attrgetter("observations"), attrgetter("float_data")


class AgentReader:
    """Reads AgentInfoProtos (of `opaque_class`) of one behavior.

    `images_channels_last`: the build sends height, width, channels.
    """

    def __init__(self, spec: BehaviorSpec, images_channels_last: bool) -> None:
        self._spec = spec
        self._channels_last = images_channels_last
        self._mask_size = sum(spec.actions.discrete_branches)

    def read(self, agents: Sequence[Any], observations: tuple[FloatArray, ...] | None = None) -> AgentArrays:
        """A row for each agent. `observations`: where theirs are to go, [N, *shape] for each sensor.

        Raises:
            AgentMismatchError: an observation or a mask does not fit the spec of the handshake.
            SensorImageError: a picture cannot be decoded, or is of the wrong size.
            ProtocolError: values or masks that cannot be read.
        """
        if observations is None:
            observations = tuple(np.empty((len(agents), *item.shape), np.float32) for item in self._spec.observations)
        sent = list(map(_OBSERVATIONS, agents))
        if not all(len(own) == len(observations) for own in sent):
            self._raise_wrong_number(agents)
        for index, (sensor, values) in enumerate(zip(self._spec.observations, observations, strict=True)):
            self._read_sensor(sensor, [own[index] for own in sent], values)
        count = len(agents)
        return AgentArrays(
            agent_ids=np.fromiter(map(_ID, agents), np.int64, count),
            rewards=np.fromiter(map(_REWARD, agents), np.float32, count),
            group_ids=np.fromiter(map(_GROUP_ID, agents), np.int64, count),
            group_rewards=np.fromiter(map(_GROUP_REWARD, agents), np.float32, count),
            truncated=np.fromiter(map(_MAX_STEP_REACHED, agents), np.bool_, count),
            allowed=self._allowed(agents),
            observations=observations,
        )

    def _raise_wrong_number(self, agents: Sequence[Any]) -> None:
        expected = len(self._spec.observations)
        agent = next(agent for agent in agents if len(agent.observations) != expected)
        raise AgentMismatchError(
            f"Behavior {self._spec.name}: agent {agent.id} sent {len(agent.observations)} observations; "
            f"the behavior's first agent had {expected}."
        )

    def _allowed(self, agents: Sequence[Any]) -> BoolArray:
        """[N, sum of branches]. On the wire 1 = not allowed, and no mask at all = everything is allowed."""
        size = self._mask_size
        if not size:
            return np.ones((len(agents), 0), np.bool_)
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

    def _read_sensor(self, sensor: ObservationSpec, sent: list[Any], values: FloatArray) -> None:
        packed = list(map(_FLOAT_DATA, sent))
        if all(packed):
            self._read_floats(sensor, packed, values)
            return
        for row, item in enumerate(sent):
            if item.compression_type == COMPRESSION_NONE:
                self._read_floats(sensor, [item.float_data], values[row : row + 1])
            else:
                self._read_image(sensor, item, values[row])

    def _read_floats(self, sensor: ObservationSpec, packed: list[bytes], values: FloatArray) -> None:
        """Serialized FloatDatas -> [N, *shape]. The values are little-endian."""
        size = math.prod(sensor.shape)
        length = _packed_length(size)
        if set(map(len, packed)) != {length}:
            wrong = next(item for item in packed if len(item) != length)
            raise AgentMismatchError(
                f"Behavior {self._spec.name}: sensor {sensor.name} sent {_count(wrong)} values; its shape "
                f"{sensor.shape} has {size}."
            )
        if not size:
            return
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, length)
        head, table = rows[:, : -4 * size], rows[:, -4 * size :]
        if head.tobytes() != _packed_head(size) * len(packed):
            raise ProtocolError(f"Behavior {self._spec.name}: sensor {sensor.name} sent values that cannot be read.")
        if self._channels_last and sensor.is_image:
            channels, height, width = sensor.shape
            images = np.ascontiguousarray(table).view(np.float32).reshape(-1, height, width, channels)
            values[:] = images.transpose(0, 3, 1, 2)
        else:
            values.reshape(len(values), -1).view(np.uint8)[:] = table

    def _read_image(self, sensor: ObservationSpec, sent: Any, values: FloatArray) -> None:
        if not sensor.is_image:
            raise SensorImageError(
                f"Behavior {self._spec.name}: sensor {sensor.name} sent an image; "
                f"its shape {sensor.shape} is not an image's."
            )
        decode_png(sent.compressed_data, tuple(sent.compressed_channel_mapping), sensor.name, out=values)


def _packed_head(size: int) -> bytes:
    """What stands before the values in a serialized FloatData: a tag, and their length in bytes as a varint."""
    return b"\x0a" + encode_varint(4 * size) if size else b""


def _packed_length(size: int) -> int:
    return len(_packed_head(size)) + 4 * size


def _count(packed: bytes) -> int:
    """About how many values a FloatData of another length holds; exact for every one that Unity writes."""
    return next((size for size in range(len(packed) // 4 + 1) if _packed_length(size) == len(packed)), len(packed) // 4)
