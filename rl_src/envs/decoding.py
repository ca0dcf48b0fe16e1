"""From the protocol's messages to batches."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from rl_src.envs.agent_messages import AgentReader
from rl_src.envs.agent_records import (
    AgentArrays,
    ByteTable,
    RecordLayout,
    Rows,
    UnusualRecordError,
    uniform_table,
)
from rl_src.envs.batches import BehaviorStep, BoolArray, DecisionBatch, IntArray, TerminalBatch, empty_step
from rl_src.envs.buffers import ObservationBuffers
from rl_src.envs.errors import NonFiniteObservationError, NonFiniteRewardError, ProtocolError
from rl_src.envs.protocol import envelope_class, message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec

_GOAL_SIGNAL = 1  # ObservationType of observation.proto
_FEW, _FEW_ALIKE = 24, 3
"""Fewer agents, or fewer of one structure among them, are quicker read one by one."""

_MOST_LAYOUTS = 64
"""Structures that are kept for a behavior; a game has a handful."""


def decode_spec(brain: Any, agents: bytes, images_channels_last: bool) -> BehaviorSpec:
    """A behavior's spec from its BrainParametersProto and its agents, a serialized ListAgentInfoProto with one or more.

    Raises:
        ProtocolError: the first agent cannot be read, or there is none.
    """
    records = _records(agents)
    if not records:
        raise ProtocolError(f"The build described behavior {brain.brain_name} without an agent of it.")
    observations = tuple(
        _observation_spec(index, sensor, images_channels_last)
        for index, sensor in enumerate(_agent(records[0]).observations)
    )
    return BehaviorSpec(brain.brain_name, observations, _action_spec(brain))


def _observation_spec(index: int, sensor: Any, images_channels_last: bool) -> ObservationSpec:
    shape = tuple(sensor.shape)
    properties = tuple(DimensionProperty(item) for item in sensor.dimension_properties)
    if images_channels_last and len(shape) == 3:
        shape = shape[2], shape[0], shape[1]
        properties = properties and (properties[2], properties[0], properties[1])
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


@dataclass
class _Alike:
    """Agents of one structure. `rows`: their places in the message."""

    layout: RecordLayout
    table: ByteTable
    rows: Rows


@dataclass
class _Odd:
    """Agents that fit no table. `rows`: their places in the message."""

    agents: list[Any]  # AgentInfoProtos
    rows: Rows


class BehaviorDecoder:
    """Decodes the agents of one behavior. `images_channels_last`: the build sends height, width, channels."""

    def __init__(self, spec: BehaviorSpec, images_channels_last: bool) -> None:
        self.spec = spec
        self._sizes = [math.prod(sensor.shape) for sensor in spec.observations]
        self._mask_size = sum(spec.actions.discrete_branches)
        self._reader = AgentReader(spec, images_channels_last)
        # An image of another layout of axes must be turned, which a table does not do.
        self._tables_fit = not (images_channels_last and any(sensor.is_image for sensor in spec.observations))
        self._layouts: dict[int, list[RecordLayout]] = {}
        self._buffers = [ObservationBuffers(sensor.shape) for sensor in spec.observations]
        self.empty = empty_step(spec)

    def decode(self, agents: bytes) -> BehaviorStep:
        """Split the agents of one exchange into decisions and terminals, both in the order of the message.

        Args:
            agents: a serialized ListAgentInfoProto.

        Raises:
            NonFiniteRewardError, NonFiniteObservationError: a NaN or an infinity.
            ProtocolError: no such message, or an observation does not fit the spec of the handshake.
        """
        count, alike, odd = self._sorted_out(agents)
        if not count:
            return self.empty
        deciding = _put_terminals_last(count, alike, odd)
        observations = tuple([buffer.take(count) for buffer in self._buffers])
        arrays = AgentArrays.of(count, self._mask_size, observations)
        for group in alike:
            group.layout.read(group.table, arrays, group.rows)
        if odd.agents:
            self._reader.read(odd.agents, arrays, odd.rows)
        self._require_finite(arrays)
        return BehaviorStep(self._decisions(arrays, deciding), self._terminals(arrays, deciding))

    def _sorted_out(self, agents: bytes) -> tuple[int, list[_Alike], _Odd]:
        table = uniform_table(agents) if self._tables_fit else None
        if table is not None and len(table) >= _FEW:
            layout, matching = self._match(table)
            if layout is not None and matching.all():
                return len(table), [_Alike(layout, table, slice(None))], _Odd([], slice(0))
        records = _records(agents)
        if not self._tables_fit or len(records) < _FEW:
            return len(records), [], _Odd([_agent(record) for record in records], slice(None))
        alike: list[_Alike] = []
        odd: list[int] = []
        for length, rows in _by_length(records):
            if not length:
                odd += rows
                continue
            same_length = np.frombuffer(b"".join([records[row] for row in rows]), np.uint8).reshape(-1, length)
            odd += self._sort_alike(same_length, np.array(rows), alike).tolist()
        return len(records), alike, _Odd([_agent(records[row]) for row in odd], np.array(odd, np.int64))

    def _sort_alike(self, table: ByteTable, rows: IntArray, alike: list[_Alike]) -> IntArray:
        """Append the structures among records of one length; the rows that are left over."""
        while len(rows) >= _FEW_ALIKE:
            layout, matching = self._match(table)
            if layout is None:
                break
            if matching.all():
                alike.append(_Alike(layout, table, rows))
                return rows[:0]
            alike.append(_Alike(layout, table[matching], rows[matching]))
            table, rows = table[~matching], rows[~matching]
        return rows

    def _match(self, table: ByteTable) -> tuple[RecordLayout | None, BoolArray]:
        """The structure of the first row, and which rows [N] have it; None when the first is odd."""
        known = self._layouts.setdefault(table.shape[1], [])
        for layout in known:
            matching = layout.matches(table)
            if matching[0]:
                return layout, matching
        try:
            layout = RecordLayout(table[0].tobytes(), self._sizes, self._mask_size)
        except UnusualRecordError:
            return None, np.zeros(len(table), np.bool_)
        if sum(map(len, self._layouts.values())) >= _MOST_LAYOUTS:
            self._layouts = {}
        self._layouts.setdefault(table.shape[1], []).append(layout)
        return layout, layout.matches(table)

    def _decisions(self, arrays: AgentArrays, deciding: int) -> DecisionBatch:
        if not deciding:
            return self.empty.decisions
        return DecisionBatch(
            agent_ids=arrays.agent_ids[:deciding],
            observations=tuple(values[:deciding] for values in arrays.observations),
            rewards=arrays.rewards[:deciding],
            action_mask=arrays.allowed[:deciding] if self._mask_size else None,
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
            if not np.isfinite(rewards).all():
                row = int(np.flatnonzero(~np.isfinite(rewards))[0])
                raise NonFiniteRewardError(
                    f"Behavior {self.spec.name}: the {kind} of agent {arrays.agent_ids[row]} is {rewards[row]}; "
                    "it must be finite."
                )
        for sensor, values in zip(self.spec.observations, arrays.observations, strict=True):
            if not np.isfinite(values).all():
                raise NonFiniteObservationError(
                    f"Behavior {self.spec.name}: sensor {sensor.name} observed NaN or an infinity."
                )


def _put_terminals_last(count: int, alike: list[_Alike], odd: _Odd) -> int:
    """Move the agents that ended behind those that decide, each in their order; how many decide."""
    if not any(group.layout.done for group in alike) and not any(agent.done for agent in odd.agents):
        return count
    ended = np.zeros(count, np.bool_)
    for group in alike:
        ended[group.rows] = group.layout.done
    ended[odd.rows] = [agent.done for agent in odd.agents]
    deciding = count - int(np.count_nonzero(ended))
    place = np.where(ended, deciding + np.cumsum(ended), np.cumsum(~ended)) - 1
    for group in alike:
        group.rows = place[group.rows]
    odd.rows = place[odd.rows]
    return deciding


def _by_length(records: list[bytes]) -> Iterable[tuple[int, list[int]]]:
    """Places of the records of each length."""
    places: dict[int, list[int]] = {}
    for row, record in enumerate(records):
        length = len(record)
        if length in places:
            places[length].append(row)
        else:
            places[length] = [row]
    return places.items()


def _records(agents: bytes) -> list[bytes]:
    try:
        return list(envelope_class("UnityRLOutputProto").ListAgentInfoProto.FromString(agents).value)
    except DecodeError as error:
        raise ProtocolError(f"The build sent a list of agents that cannot be read: {error}.") from error


def _agent(record: bytes) -> Any:
    try:
        return message_class("AgentInfoProto").FromString(record)
    except DecodeError as error:
        raise ProtocolError(f"The build sent an agent that cannot be read: {error}.") from error
