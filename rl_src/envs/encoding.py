"""From actions to the protocol's messages."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rl_src.envs.batches import Actions
from rl_src.envs.specs import BehaviorSpec

# Field numbers and wire types of agent_action.proto and unity_rl_input.proto (all length-delimited, type 2).
_LIST_VALUE = 1 << 3 | 2
_DEPRECATED_ACTIONS = 1 << 3 | 2
_CONTINUOUS_ACTIONS = 6 << 3 | 2
_DISCRETE_ACTIONS = 7 << 3 | 2
_ONE_BYTE_VARINT = 0x80


def validated(actions: Actions, spec: BehaviorSpec, agents: int) -> Actions:
    """The same actions as float32 and int32, with the shapes that the spec and the last decisions ask for.

    Raises:
        ValueError: a wrong shape, a value that is not finite, or a choice outside its branch.
    """
    branches = spec.actions.discrete_branches
    continuous = np.ascontiguousarray(actions.continuous, np.float32)
    discrete = np.ascontiguousarray(actions.discrete, np.int32)
    for kind, array, width in (
        ("continuous", continuous, spec.actions.continuous_size),
        ("discrete", discrete, len(branches)),
    ):
        if array.shape != (agents, width) and not (array.size == 0 and agents * width == 0):
            raise ValueError(f"{spec.name}: {kind} actions have the shape {array.shape}; {(agents, width)} is needed.")
    if continuous.size and not np.isfinite(continuous).all():
        raise ValueError(f"{spec.name}: a continuous action is not finite.")
    if discrete.size and ((discrete < 0).any() or (discrete >= np.array(branches)).any()):
        raise ValueError(f"{spec.name}: a discrete action is outside its branch; the branches have {branches} choices.")
    return Actions(
        continuous.reshape(agents, -1) if agents else continuous, discrete.reshape(agents, -1) if agents else discrete
    )


def encode_actions(actions: Actions, rl_input: Any, spec: BehaviorSpec, hybrid: bool) -> None:
    """Put a behavior's actions into `rl_input` (UnityRLInputProto), one AgentActionProto a row.

    `hybrid`: the build knows the fields for both kinds of actions (communicator 1.3); older ones read a list of floats.
    """
    target = rl_input.agent_actions[spec.name]
    if not hybrid:
        rows = actions.continuous if spec.actions.continuous_size else actions.discrete.astype(np.float32)
        target.MergeFromString(_packed_rows([(_DEPRECATED_ACTIONS, _float_bytes(rows))]))
    elif max(spec.actions.discrete_branches, default=0) <= _ONE_BYTE_VARINT:
        fields = []
        if spec.actions.continuous_size:
            fields.append((_CONTINUOUS_ACTIONS, _float_bytes(actions.continuous)))
        if spec.actions.discrete_branches:
            fields.append((_DISCRETE_ACTIONS, actions.discrete.astype(np.uint8)))
        target.MergeFromString(_packed_rows(fields))
    else:
        for continuous, discrete in zip(actions.continuous.tolist(), actions.discrete.tolist(), strict=True):
            target.value.add(continuous_actions=continuous, discrete_actions=discrete)


def _float_bytes(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    # [N, C] -> [N, 4 C]
    return np.ascontiguousarray(rows, "<f4").view(np.uint8)


def _packed_rows(fields: list[tuple[int, npt.NDArray[np.uint8]]]) -> bytes:
    """A serialized ListAgentActionProto. All rows are equally long, so that it is one table of bytes.

    `fields`: tag and packed values [N, bytes] of each field of AgentActionProto.
    """
    agents = len(fields[0][1])
    payload = b"".join(bytes([tag]) + _varint(values.shape[1]) + bytes(values.shape[1]) for tag, values in fields)
    prefix = bytes([_LIST_VALUE]) + _varint(len(payload)) + payload
    table = np.empty((agents, len(prefix)), np.uint8)
    table[:] = np.frombuffer(prefix, np.uint8)
    column = len(prefix)
    for _, values in reversed(fields):
        column -= values.shape[1]
        table[:, column : column + values.shape[1]] = values
        column -= 1 + len(_varint(values.shape[1]))
    return table.tobytes()


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= _ONE_BYTE_VARINT:
        encoded.append(value & 0x7F | _ONE_BYTE_VARINT)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
