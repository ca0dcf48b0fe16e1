"""One message an agent: for few agents, and for what fits no table (compressed images, old builds, what is wrong)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_src.envs.agent_records import AgentArrays, Rows
from rl_src.envs.batches import FloatArray
from rl_src.envs.errors import ProtocolError
from rl_src.envs.images import decode_png
from rl_src.envs.protocol import COMPRESSION_NONE
from rl_src.envs.specs import BehaviorSpec, ObservationSpec


class AgentReader:
    """Reads AgentInfoProtos of one behavior. `images_channels_last`: the build sends height, width, channels."""

    def __init__(self, spec: BehaviorSpec, images_channels_last: bool) -> None:
        self._spec = spec
        self._channels_last = images_channels_last
        self._mask_size = sum(spec.actions.discrete_branches)

    def read(self, agents: Sequence[Any], into: AgentArrays, rows: Rows) -> None:
        """Write each agent into its row.

        Raises:
            ProtocolError: an observation or a mask does not fit the spec of the handshake.
        """
        into.agent_ids[rows] = [agent.id for agent in agents]
        into.rewards[rows] = [agent.reward for agent in agents]
        into.group_ids[rows] = [agent.group_id for agent in agents]
        into.group_rewards[rows] = [agent.group_reward for agent in agents]
        into.truncated[rows] = [agent.done and agent.max_step_reached for agent in agents]
        if self._mask_size:
            into.allowed[rows] = [self._allowed(agent) for agent in agents]
        sensors = self._spec.observations
        for agent in agents:
            if len(agent.observations) != len(sensors):
                raise ProtocolError(
                    f"Behavior {self._spec.name}: agent {agent.id} sent {len(agent.observations)} observations; "
                    f"the behavior's first agent had {len(sensors)}. All agents of a behavior need the same sensors."
                )
        for index, (sensor, values) in enumerate(zip(sensors, into.observations, strict=True)):
            self._read_sensor(sensor, [agent.observations[index] for agent in agents], values, rows)

    def _allowed(self, agent: Any) -> Sequence[bool]:
        # On the wire True = not allowed, and no mask at all = everything is allowed.
        disallowed = agent.action_mask
        if not disallowed:
            return [True] * self._mask_size
        if len(disallowed) != self._mask_size:
            raise ProtocolError(
                f"Behavior {self._spec.name}: agent {agent.id} sent {len(disallowed)} action mask entries; "
                f"its branches have {self._mask_size}."
            )
        return [not item for item in disallowed]

    def _read_sensor(self, sensor: ObservationSpec, protos: list[Any], values: FloatArray, rows: Rows) -> None:
        if all(proto.compression_type == COMPRESSION_NONE for proto in protos):
            values[rows] = self._floats(sensor, protos)
            return
        for row, proto in zip(np.arange(len(values))[rows].tolist(), protos, strict=True):
            if proto.compression_type == COMPRESSION_NONE:
                values[row] = self._floats(sensor, [proto])[0]
            else:
                self._read_image(sensor, proto, values[row])

    def _floats(self, sensor: ObservationSpec, protos: list[Any]) -> FloatArray:
        """Uncompressed values: [N, *shape].

        A serialized FloatData ends in its values, which spares a Python number for each.
        """
        size = math.prod(sensor.shape)
        packed = []
        for proto in protos:
            data = proto.float_data
            if len(data.data) != size:
                self._raise_wrong_size(sensor, len(data.data), size)
            packed.append(data.SerializeToString()[-4 * size :] if size else b"")
        values = np.frombuffer(b"".join(packed), np.float32) if size else np.empty(0, np.float32)
        if self._channels_last and sensor.is_image:
            channels, height, width = sensor.shape
            # [N, H, W, C] -> [N, C, H, W]
            return values.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        return values.reshape(len(protos), *sensor.shape)

    def _raise_wrong_size(self, sensor: ObservationSpec, sent: int, size: int) -> None:
        raise ProtocolError(
            f"Behavior {self._spec.name}: sensor {sensor.name} sent {sent} values; "
            f"its shape {sensor.shape} has {size}. All agents of a behavior need sensors of the same size."
        )

    def _read_image(self, sensor: ObservationSpec, proto: Any, values: FloatArray) -> None:
        if not sensor.is_image:
            raise ProtocolError(
                f"Behavior {self._spec.name}: sensor {sensor.name} sent an image; "
                f"its shape {sensor.shape} is not an image's."
            )
        decode_png(proto.compressed_data, tuple(proto.compressed_channel_mapping), sensor.name, out=values)
