"""From actions to the protocol's messages."""

import math

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
_FEW = 24
"""So many agents are quicker encoded one by one."""


class ActionEncoder:
    """Encodes the actions of one behavior.

    Args:
        spec: of the behavior.
        hybrid: the build knows the fields for both kinds of actions (communicator 1.3); older ones read floats.
    """

    def __init__(self, spec: BehaviorSpec, hybrid: bool) -> None:
        self._spec = spec
        self._hybrid = hybrid
        self._template: npt.NDArray[np.uint8] | None = None
        continuous, branches = spec.actions.continuous_size, spec.actions.discrete_branches
        self._continuous_head = _head(_CONTINUOUS_ACTIONS, 4 * continuous) if continuous else b""
        self._discrete_head = _head(_DISCRETE_ACTIONS, len(branches)) if branches else b""
        row_bytes = len(self._continuous_head) + 4 * continuous + len(self._discrete_head) + len(branches)
        self._row_head = _head(_LIST_VALUE, row_bytes)
        self._plain = hybrid and max(branches, default=0) <= _ONE_BYTE_VARINT

    def encode(self, actions: Actions, agents: int) -> bytes:
        """A serialized ListAgentActionProto. `agents`: how many asked for an action.

        Raises:
            ValueError: a wrong shape, a value that is not finite, or a choice outside its branch.
        """
        plain = self._plain and agents <= _FEW and _is_plain(actions)
        return self._encode_few(actions, agents) if plain else self._encode_many(actions, agents)

    def _encode_few(self, actions: Actions, agents: int) -> bytes:
        """Without numpy, whose every function costs some 50 µs to fetch into a processor that has been idle."""
        _require_shapes(self._spec, actions, agents)
        branches = self._spec.actions.discrete_branches
        floats, choices = actions.continuous.tobytes(), actions.discrete.ravel().tolist()
        # In Python's doubles the sum of float32 cannot overflow, so that it is finite if they are.
        if not math.isfinite(sum(memoryview(floats).cast("f"))):
            raise _not_finite(self._spec)
        for index, branch in enumerate(branches):
            own = choices[index :: len(branches)]
            if own and not (min(own) >= 0 and max(own) < branch):
                raise _outside(self._spec)
        chosen = bytes(choices)
        size, number = 4 * self._spec.actions.continuous_size, len(branches)
        head, middle = self._row_head + self._continuous_head, self._discrete_head
        return b"".join(
            [
                head + floats[row * size : (row + 1) * size] + middle + chosen[row * number : (row + 1) * number]
                for row in range(agents)
            ]
        )

    def _encode_many(self, actions: Actions, agents: int) -> bytes:
        actions = _validated(actions, self._spec, agents)
        fields = self._fields(actions)
        if self._template is None or len(self._template) != agents:
            self._template = _template(agents, fields)
        # All rows are equally long, so that they are one table of bytes. [N, bytes]
        table = self._template
        column = table.shape[1]
        for _, values in reversed(fields):
            width = values.shape[1]
            table[:, column - width : column] = values
            column -= width + 1 + len(encode_varint(width))
        return table.tobytes()

    def _fields(self, actions: Actions) -> list[tuple[int, npt.NDArray[np.uint8]]]:
        """Tag and packed values [N, bytes] of each field of AgentActionProto."""
        continuous_size, branches = self._spec.actions.continuous_size, self._spec.actions.discrete_branches
        if not self._hybrid:
            rows = actions.continuous if continuous_size else actions.discrete.astype(np.float32)
            return [(_DEPRECATED_ACTIONS, _float_bytes(rows))]
        fields = []
        if continuous_size:
            fields.append((_CONTINUOUS_ACTIONS, _float_bytes(actions.continuous)))
        if branches:
            fields.append((_DISCRETE_ACTIONS, _choices(actions.discrete, branches)))
        return fields


def _is_plain(actions: Actions) -> bool:
    continuous, discrete = actions.continuous, actions.discrete
    return (
        isinstance(continuous, np.ndarray)
        and isinstance(discrete, np.ndarray)
        and continuous.dtype == np.float32
        and discrete.dtype == np.int32
        and continuous.ndim == discrete.ndim == 2
        and len(continuous) == len(discrete)
    )


def _validated(actions: Actions, spec: BehaviorSpec, agents: int) -> Actions:
    """The same actions as float32 and int32, with the shapes that the spec and the last decisions ask for."""
    branches = spec.actions.discrete_branches
    continuous = np.ascontiguousarray(actions.continuous, np.float32)
    discrete = np.ascontiguousarray(actions.discrete, np.int32)
    _require_shapes(spec, Actions(continuous, discrete), agents)
    if continuous.size and not np.isfinite(continuous).all():
        raise _not_finite(spec)
    if discrete.size and ((discrete < 0).any() or (discrete >= np.array(branches)).any()):
        raise _outside(spec)
    return Actions(
        continuous.reshape(agents, -1) if agents else continuous, discrete.reshape(agents, -1) if agents else discrete
    )


def _require_shapes(spec: BehaviorSpec, actions: Actions, agents: int) -> None:
    for kind, array, width in (
        ("continuous", actions.continuous, spec.actions.continuous_size),
        ("discrete", actions.discrete, len(spec.actions.discrete_branches)),
    ):
        if array.shape != (agents, width) and not (array.size == 0 and agents * width == 0):
            raise ValueError(f"{spec.name}: {kind} actions have the shape {array.shape}; {(agents, width)} is needed.")


def _not_finite(spec: BehaviorSpec) -> ValueError:
    return ValueError(f"{spec.name}: a continuous action is not finite.")


def _outside(spec: BehaviorSpec) -> ValueError:
    branches = spec.actions.discrete_branches
    return ValueError(f"{spec.name}: a discrete action is outside its branch; the branches have {branches} choices.")


def _head(tag: int, length: int) -> bytes:
    return bytes([tag]) + encode_varint(length)


def _choices(discrete: npt.NDArray[np.int32], branches: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Choices as varints, all as long as the longest may get: [N, branches] -> [N, branches * bytes].

    A varint may be padded with empty groups of seven bits; every reader takes it (protobuf, "Base 128 Varints").
    """
    width = len(encode_varint(max(branches) - 1))
    if width == 1:
        return discrete.astype(np.uint8)
    groups = [(discrete >> 7 * group & 0x7F) | (_ONE_BYTE_VARINT if group < width - 1 else 0) for group in range(width)]
    return np.stack(groups, axis=-1).astype(np.uint8).reshape(len(discrete), width * len(branches))


def _template(agents: int, fields: list[tuple[int, npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """Tags and lengths of every row, and room for the values: [N, bytes]."""
    payload = b"".join(bytes([tag]) + encode_varint(values.shape[1]) + bytes(values.shape[1]) for tag, values in fields)
    row = bytes([_LIST_VALUE]) + encode_varint(len(payload)) + payload
    table = np.empty((agents, len(row)), np.uint8)
    table[:] = np.frombuffer(row, np.uint8)
    return table


def _float_bytes(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    # [N, C] -> [N, 4 C]
    return np.ascontiguousarray(rows, np.float32).view(np.uint8)


def encode_varint(value: int) -> bytes:
    """A non-negative number as protobuf writes it."""
    encoded = bytearray()
    while value >= _ONE_BYTE_VARINT:
        encoded.append(value & 0x7F | _ONE_BYTE_VARINT)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
