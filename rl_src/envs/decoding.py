"""From the protocol's messages to batches."""

import math
from operator import attrgetter
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from rl_src.envs.agent_messages import AgentReader
from rl_src.envs.agent_records import AgentArrays, RecordLayouts, tables_by_length, uniform_table
from rl_src.envs.batches import BehaviorStep, DecisionBatch, FloatArray, TerminalBatch, empty_step
from rl_src.envs.buffers import ObservationBuffers
from rl_src.envs.errors import NonFiniteObservationError, NonFiniteRewardError, ProtocolError, WireLimitError
from rl_src.envs.limits import (
    MAX_DECODED_BYTES,
    require_bearable_agents,
    require_few_agents,
    require_sound_spec,
)
from rl_src.envs.protocol import byte_list_class, opaque_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec

_GOAL_SIGNAL = 1  # ObservationType of observation.proto
_DONE = attrgetter("done")
_MANY = 24
"""Fewer agents of one structure are quicker read one by one."""

_LARGE_BYTES = 64 * 1024
"""Uncompressed images: a table spares copying them more often than needed, however few agents there are."""

_MOST_LISTED = 3
"""Agents that an error names by their ids."""

_FEW_VALUES = 256
"""Fewer are quicker looked at without numpy."""


def decode_spec(brain: Any, agents: bytes, images_channels_last: bool) -> BehaviorSpec:
    """A behavior's spec from its BrainParametersProto and its agents, a serialized ListAgentInfoProto with one or more.

    Raises:
        ProtocolError: the first agent cannot be read, or there is none, or it observes what cannot be.
        WireLimitError: it observes or does too much.
    """
    messages = _agents(agents)
    if not messages:
        raise ProtocolError(f"The build described behavior {brain.brain_name} without an agent of it.")
    observations = tuple(
        _observation_spec(index, sensor, images_channels_last) for index, sensor in enumerate(messages[0].observations)
    )
    spec = BehaviorSpec(brain.brain_name, observations, _action_spec(brain))
    require_sound_spec(spec)
    return spec


def _observation_spec(index: int, sensor: Any, images_channels_last: bool) -> ObservationSpec:
    shape = tuple(sensor.shape)
    properties = tuple(DimensionProperty(item) for item in sensor.dimension_properties)
    if images_channels_last and len(shape) == 3:
        shape = shape[2], shape[0], shape[1]
        if len(properties) == 3:
            properties = properties[2], properties[0], properties[1]
    return ObservationSpec(sensor.name or f"obs_{index}", shape, properties, sensor.observation_type == _GOAL_SIGNAL)


def _action_spec(brain: Any) -> ActionSpec:
    actions = brain.action_spec
    if actions.num_continuous_actions or actions.num_discrete_actions:
        return ActionSpec(actions.num_continuous_actions, tuple(actions.discrete_branch_sizes))
    # Communicators before 1.3 know the deprecated fields only: either continuous (1) or discrete (0).
    sizes = tuple(brain.vector_action_size_deprecated)
    if brain.vector_action_space_type_deprecated == 1:
        return ActionSpec(sizes[0] if sizes else 0, ())
    return ActionSpec(0, sizes)


class BehaviorDecoder:
    """Decodes the agents of one behavior. `images_channels_last`: the build sends height, width, channels."""

    def __init__(self, spec: BehaviorSpec, images_channels_last: bool) -> None:
        self.spec = spec
        self._mask_size = sum(spec.actions.discrete_branches)
        # An image of another layout of axes must be turned, which a table does not do.
        self._tables_fit = not (images_channels_last and any(sensor.is_image for sensor in spec.observations))
        sizes = [math.prod(sensor.shape) for sensor in spec.observations]
        self._layouts = RecordLayouts(sizes, self._mask_size)
        self._least_bytes = 4 * sum(sizes)  # of an agent
        self._decoded_bytes = self._least_bytes + self._mask_size
        self._buffers = [ObservationBuffers(sensor.shape) for sensor in spec.observations]
        self._reader = AgentReader(spec, images_channels_last, [buffer.take for buffer in self._buffers])
        self.empty = empty_step(spec)

    def decode(self, agents: bytes) -> BehaviorStep:
        """Split the agents of one exchange into decisions and terminals, both in the order of the message.

        Args:
            agents: a serialized ListAgentInfoProto.

        Raises:
            NonFiniteRewardError, NonFiniteObservationError: a NaN or an infinity.
            ProtocolError: no such message, or an observation does not fit the spec of the handshake.
        """
        at_least = _MANY if len(agents) < _LARGE_BYTES else 1
        table = uniform_table(agents, at_least) if self._tables_fit else None
        layout = None if table is None else self._layouts.of(table)
        if table is not None and layout is not None:
            require_few_agents(len(table))
            arrays = self._new_arrays(len(table))
            layout.read(table, arrays, slice(None))
            deciding = 0 if layout.done else len(table)
        else:
            arrays, deciding = self._read_mixed(agents)
            if not len(arrays.agent_ids):
                return self.empty
        self._require_finite(arrays)
        return BehaviorStep(self._decisions(arrays, deciding), self._terminals(arrays, deciding))

    def _read_mixed(self, agents: bytes) -> tuple[AgentArrays, int]:
        """Agents of several structures, those that ended last; and how many decide."""
        records = _records(agents) if self._tables_fit and len(agents) >= _MANY * self._least_bytes else []
        alike = [
            (layout, table, places)
            for places, table in (tables_by_length(records, _MANY) if len(records) >= _MANY else ())
            if (layout := self._layouts.of(table)) is not None
        ]
        if not alike:
            return self._read_one_by_one(agents)
        ended, left = np.zeros(len(records), np.bool_), np.ones(len(records), np.bool_)
        for layout, _, places in alike:
            ended[places], left[places] = layout.done, False
        odd_places = np.flatnonzero(left)
        odd = [_readable(opaque_class("AgentInfoProto"), records[place]) for place in odd_places.tolist()]
        ended[odd_places] = list(map(_DONE, odd))
        deciding = len(records) - int(np.count_nonzero(ended))
        rows = np.where(ended, deciding + np.cumsum(ended), np.cumsum(~ended)) - 1
        arrays = self._new_arrays(len(records))
        for layout, table, places in alike:
            layout.read(table, arrays, rows[places])
        if odd:
            arrays.put(self._reader.read(odd), rows[odd_places])
        return arrays, deciding

    def _read_one_by_one(self, agents: bytes) -> tuple[AgentArrays, int]:
        messages = _agents(agents)
        if not messages:
            return self._new_arrays(0), 0
        self._require_room(len(messages))
        ended = list(filter(_DONE, messages))
        if ended:
            messages.sort(key=_DONE)  # stable: each in the order of the message
        return self._reader.read(messages), len(messages) - len(ended)

    def _require_room(self, agents: int) -> None:
        if agents * self._decoded_bytes > MAX_DECODED_BYTES:
            raise WireLimitError(
                f"Behavior {self.spec.name}: {agents:,} agents of {self._decoded_bytes:,} bytes each are more than "
                f"{MAX_DECODED_BYTES // 1024**2:,} MB in one message."
            )

    def _new_arrays(self, agents: int) -> AgentArrays:
        self._require_room(agents)
        return AgentArrays.of(agents, self._mask_size, tuple([buffer.take(agents) for buffer in self._buffers]))

    def _decisions(self, arrays: AgentArrays, deciding: int) -> DecisionBatch:
        if not deciding:
            return self.empty.decisions
        if deciding == len(arrays.agent_ids):  # slices cost, of a processor that has been idle
            return DecisionBatch(
                arrays.agent_ids,
                arrays.observations,
                arrays.rewards,
                arrays.allowed,
                arrays.group_ids,
                arrays.group_rewards,
            )
        return DecisionBatch(
            agent_ids=arrays.agent_ids[:deciding],
            observations=tuple(values[:deciding] for values in arrays.observations),
            rewards=arrays.rewards[:deciding],
            action_mask=None if arrays.allowed is None else arrays.allowed[:deciding],
            group_ids=arrays.group_ids[:deciding],
            group_rewards=arrays.group_rewards[:deciding],
        )

    def _terminals(self, arrays: AgentArrays, deciding: int) -> TerminalBatch:
        if deciding == len(arrays.agent_ids):
            return self.empty.terminals
        return TerminalBatch(
            agent_ids=arrays.agent_ids[deciding:],
            observations=tuple(values[deciding:] for values in arrays.observations),
            rewards=arrays.rewards[deciding:],
            truncated=arrays.truncated[deciding:],
            group_ids=arrays.group_ids[deciding:],
            group_rewards=arrays.group_rewards[deciding:],
        )

    def _require_finite(self, arrays: AgentArrays) -> None:
        for kind, rewards in (("reward", arrays.rewards), ("group reward", arrays.group_rewards)):
            if not _all_finite(rewards):
                row = int(np.flatnonzero(~np.isfinite(rewards))[0])
                raise NonFiniteRewardError(
                    f"Behavior {self.spec.name}: the {kind} of agent {arrays.agent_ids[row]} is {rewards[row]}; "
                    "it must be finite."
                )
        for sensor, values in zip(self.spec.observations, arrays.observations, strict=True):
            if not _all_finite(values):
                finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
                raise NonFiniteObservationError(
                    f"Behavior {self.spec.name}: sensor {sensor.name} observed NaN or an infinity, at "
                    f"{_listed(arrays.agent_ids[~finite].tolist())}."
                )


def _agents(agents: bytes) -> list[Any]:
    """AgentInfoProtos, in which masks and values are bytes."""
    require_bearable_agents(agents)
    return list(_readable(opaque_class("UnityRLOutputProto").ListAgentInfoProto, agents).value)


def _records(agents: bytes) -> list[bytes]:
    require_bearable_agents(agents)
    return list(_readable(byte_list_class(), agents).value)


def _readable(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise ProtocolError(f"The build sent agents that cannot be read: {error}.") from error


def _listed(agent_ids: list[int]) -> str:
    """In words: "agent 3", "agents 3, 5, 9 and 97 more"."""
    shown = ", ".join(map(str, agent_ids[:_MOST_LISTED]))
    more = f" and {len(agent_ids) - _MOST_LISTED} more" if len(agent_ids) > _MOST_LISTED else ""
    return f"agent{'s' if len(agent_ids) > 1 else ''} {shown}{more}"


def _all_finite(values: FloatArray) -> bool:
    if values.size <= _FEW_VALUES and values.flags.c_contiguous:
        # In Python's doubles the sum of float32 cannot overflow, so that it is finite if they are.
        return not values.size or math.isfinite(sum(values.data.cast("B").cast("f"), 0.0))
    return bool(np.isfinite(values).all())
