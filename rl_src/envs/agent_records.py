"""Agents as tables of bytes.

In an exchange most AgentInfoProtos of a behavior have one of a few structures: the same fields in the same order, each
as long as in the others. Records of one structure are rows of a table [agents, bytes], out of which whole columns are
read at once: about 0.2 µs an agent, where a Python object for each agent costs 1 µs.

What the structure looks like is read from one record and then held against every byte of the others that is not a
value. Records that fit no table are left to the slower way (`agent_messages`).

Values are little-endian, as on every machine that Unity's Linux player runs on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from rl_src.envs.batches import BoolArray, FloatArray, IntArray

ByteTable = npt.NDArray[np.uint8]
Rows = slice | IntArray
"""Which rows of the arrays; a table's rows go there in their order."""


class Field(IntEnum):
    """Field numbers of agent_info.proto."""

    REWARD = 7
    DONE = 8
    MAX_STEP_REACHED = 9
    ID = 10
    ACTION_MASK = 11
    OBSERVATION = 13
    GROUP_ID = 14
    GROUP_REWARD = 15


class Wire(IntEnum):
    """Protobuf's wire types, as far as these messages use them."""

    VARINT = 0
    BYTES = 2
    BITS_32 = 5


# observation.proto
_SHAPE, _FLOAT_DATA, _PROPERTIES, _TYPE, _NAME = 1, 4, 6, 7, 8
_FLOAT_DATA_VALUES = 1

_BESIDE_VALUES = 2048  # bytes: of an agent's own fields, and of a sensor's name, shape and kind
_MOST_LAYOUTS = 64  # a game has a handful
_LONGEST_ID = 4  # bytes of a varint below 2**28; what is longer may be negative, and is left to the slow way
_WEIGHTS = np.int64(1) << (7 * np.arange(_LONGEST_ID, dtype=np.int64))
_ALL_BITS, _NO_BITS, _CONTINUATION_BIT, _ALL_BUT_LOWEST_BIT = 0xFF, 0x00, 0x80, 0xFE


@dataclass
class AgentArrays:
    """What the N agents of one exchange are decoded into."""

    agent_ids: IntArray  # [N]
    rewards: FloatArray  # [N]
    group_ids: IntArray  # [N]
    group_rewards: FloatArray  # [N]
    truncated: BoolArray  # [N]
    allowed: BoolArray | None  # [N, sum of branches]; None without discrete branches
    observations: tuple[FloatArray, ...]  # [N, *shape] for each sensor

    @classmethod
    def of(cls, agents: int, mask_size: int, observations: tuple[FloatArray, ...]) -> "AgentArrays":
        """Everything zero, as proto3 leaves out what is zero; everything allowed, as no mask means."""
        return cls(
            np.zeros(agents, np.int64),
            np.zeros(agents, np.float32),
            np.zeros(agents, np.int64),
            np.zeros(agents, np.float32),
            np.zeros(agents, np.bool_),
            np.ones((agents, mask_size), np.bool_) if mask_size else None,
            observations,
        )

    def put(self, other: "AgentArrays", rows: IntArray) -> None:
        """Copy other arrays into `rows` of these."""
        self.agent_ids[rows], self.rewards[rows] = other.agent_ids, other.rewards
        self.group_ids[rows], self.group_rewards[rows] = other.group_ids, other.group_rewards
        self.truncated[rows] = other.truncated
        if self.allowed is not None:
            self.allowed[rows] = other.allowed
        for mine, theirs in zip(self.observations, other.observations, strict=True):
            mine[rows] = theirs


@dataclass(frozen=True)
class _Found:
    number: int
    wire_type: int
    start: int  # of the value, for bytes behind their length
    end: int


class UnusualRecordError(ValueError):
    """A record that is left to the slow way."""


class RecordLayout:
    """Where the values lie in all records of one structure.

    Args:
        record: a serialized AgentInfoProto, as the example.
        sizes: number of values of each sensor.
        mask_size: sum of the discrete branches.

    Raises:
        UnusualRecordError: compressed observations, other sizes than these, doubled or unknown fields.
    """

    def __init__(self, record: bytes, sizes: Sequence[int], mask_size: int) -> None:
        self.done = self.truncated = False
        self._reward: slice | None = None
        self._group_reward: slice | None = None
        self._agent_id: slice | None = None
        self._group_id: slice | None = None
        self._mask: slice | None = None
        self._observations: list[slice] = []
        if len(record) > 4 * sum(sizes) + mask_size + _BESIDE_VALUES * (1 + len(sizes)):
            raise UnusualRecordError("far longer than its values")
        self._significant = bytearray([_ALL_BITS]) * len(record)
        seen: set[int] = set()
        for field in _fields(record, 0, len(record)):
            if field.number in seen and field.number != Field.OBSERVATION:
                raise UnusualRecordError(f"field {field.number} twice")
            seen.add(field.number)
            self._take(field, record, sizes, mask_size)
        if len(self._observations) != len(sizes):
            raise UnusualRecordError("another number of sensors")
        significant = np.frombuffer(self._significant, np.uint8)
        self._columns = np.flatnonzero(significant)
        self._bits = significant[self._columns]
        self._expected = np.frombuffer(record, np.uint8)[self._columns] & self._bits

    def fits(self, table: ByteTable) -> bool:
        """Whether all rows of a table [N, bytes] have this structure."""
        return bool(((table.take(self._columns, axis=1) & self._bits) == self._expected).all())

    def read(self, table: ByteTable, into: AgentArrays, rows: Rows) -> None:
        """Copy the values of a table that fits into `rows` of the arrays."""
        if self._agent_id is not None:
            into.agent_ids[rows] = _numbers(table[:, self._agent_id])
        if self._group_id is not None:
            into.group_ids[rows] = _numbers(table[:, self._group_id])
        if self._reward is not None:
            into.rewards[rows] = _floats(table[:, self._reward])
        if self._group_reward is not None:
            into.group_rewards[rows] = _floats(table[:, self._group_reward])
        if self._mask is not None and into.allowed is not None:
            into.allowed[rows] = table[:, self._mask] == 0  # on the wire 1 = not allowed
        if self.truncated:
            into.truncated[rows] = True
        for values, columns in zip(into.observations, self._observations, strict=True):
            # The array is contiguous, so that this is a view: [N, 4 * values]
            values.reshape(len(values), -1).view(np.uint8)[rows] = table[:, columns]

    def _take(self, field: _Found, record: bytes, sizes: Sequence[int], mask_size: int) -> None:
        place = slice(field.start, field.end)
        length = field.end - field.start
        match field.number, field.wire_type:
            case Field.REWARD, Wire.BITS_32:
                self._reward = self._vary(place, _NO_BITS)
            case Field.GROUP_REWARD, Wire.BITS_32:
                self._group_reward = self._vary(place, _NO_BITS)
            case Field.ID, Wire.VARINT if length <= _LONGEST_ID:
                self._agent_id = self._vary(place, _CONTINUATION_BIT)
            case Field.GROUP_ID, Wire.VARINT if length <= _LONGEST_ID:
                self._group_id = self._vary(place, _CONTINUATION_BIT)
            case Field.DONE, Wire.VARINT:
                self.done = _truth(record[place])
            case Field.MAX_STEP_REACHED, Wire.VARINT:
                self.truncated = _truth(record[place])
            case Field.ACTION_MASK, Wire.BYTES if length == mask_size and max(record[place]) <= 1:
                self._mask = self._vary(place, _ALL_BUT_LOWEST_BIT)
            case Field.OBSERVATION, Wire.BYTES if len(self._observations) < len(sizes):
                values = _float_values(record, field, sizes[len(self._observations)])
                self._observations.append(self._vary(values, _NO_BITS))
            case _:
                raise UnusualRecordError(f"field {field.number} of wire type {field.wire_type} and {length} bytes")

    def _vary(self, place: slice, significant_bits: int) -> slice:
        self._significant[place] = bytes([significant_bits]) * (place.stop - place.start)
        return place


class RecordLayouts:
    """The structures of one behavior's records that have been seen.

    Args:
        sizes: number of values of each sensor.
        mask_size: sum of the discrete branches.
    """

    def __init__(self, sizes: Sequence[int], mask_size: int) -> None:
        self._sizes = sizes
        self._mask_size = mask_size
        self._known: dict[int, list[RecordLayout]] = {}

    def of(self, table: ByteTable) -> RecordLayout | None:
        """The structure that all rows share; None when they differ, or are of no kind that is read as a table."""
        length = table.shape[1]
        for layout in self._known.get(length, ()):
            if layout.fits(table):
                return layout
        try:
            layout = RecordLayout(table[0].tobytes(), self._sizes, self._mask_size)
        except UnusualRecordError:
            return None
        if not layout.fits(table):
            return None
        if sum(map(len, self._known.values())) >= _MOST_LAYOUTS:
            self._known.clear()
        self._known.setdefault(length, []).append(layout)
        return layout


def tables_by_length(records: Sequence[bytes], at_least: int) -> Iterator[tuple[IntArray, ByteTable]]:
    """Places and table of the records of each length that at least so many have."""
    lengths = np.fromiter(map(len, records), np.int64, len(records))
    for length in np.flatnonzero(np.bincount(lengths) >= at_least).tolist():
        if length:
            places = np.flatnonzero(lengths == length)
            data = b"".join([records[place] for place in places.tolist()])
            yield places, np.frombuffer(data, np.uint8).reshape(len(places), length)


def uniform_table(data: bytes, at_least: int) -> ByteTable | None:
    """The records of a serialized ListAgentInfoProto as a table [N, bytes].

    None when their lengths differ, or when there are fewer than `at_least`.
    """
    if len(data) < at_least:
        return None
    length, start = _varint(data, 1)
    stride = start + length
    if not length or len(data) < at_least * stride or len(data) % stride:
        return None
    table = np.frombuffer(data, np.uint8).reshape(-1, stride)
    if not (table[:, :start] == table[0, :start]).all():
        return None
    return table[:, start:]


def _truth(value: bytes) -> bool:
    if value not in (b"\x00", b"\x01"):
        raise UnusualRecordError("a truth value in a form of its own")
    return value == b"\x01"


def _floats(columns: ByteTable) -> FloatArray:
    return np.ascontiguousarray(columns).view(np.float32).reshape(-1)


def _numbers(columns: ByteTable) -> IntArray:
    # Varints of one length: seven bits a byte, the lowest first.
    width = columns.shape[1]
    if width == 1:
        return columns[:, 0].astype(np.int64)
    return (columns & 0x7F) @ _WEIGHTS[:width]


def _fields(data: bytes, start: int, end: int) -> Iterator[_Found]:
    """The fields of one message.

    Raises:
        UnusualRecordError: a wire type that these messages do not use, or a message cut short.
    """
    position = start
    try:
        while position < end:
            tag, position = _varint(data, position)
            value = position
            if tag & 7 == Wire.VARINT:
                _, position = _varint(data, position)
            elif tag & 7 == Wire.BITS_32:
                position += 4
            elif tag & 7 == Wire.BYTES:
                length, value = _varint(data, position)
                position = value + length
            else:
                raise UnusualRecordError(f"wire type {tag & 7}")
            yield _Found(tag >> 3, tag & 7, value, position)
    except IndexError:
        position = end + 1
    if position != end:
        raise UnusualRecordError("a message is cut short")


def _float_values(record: bytes, observation: _Found, size: int) -> slice:
    """Where the values of an uncompressed ObservationProto lie."""
    found: slice | None = None
    for field in _fields(record, observation.start, observation.end):
        if field.number == _FLOAT_DATA and field.wire_type == Wire.BYTES and found is None:
            (packed,) = tuple(_fields(record, field.start, field.end))[:1] or (None,)
            if packed is None or packed.number != _FLOAT_DATA_VALUES or packed.end != field.end:
                raise UnusualRecordError("no packed values")
            found = slice(packed.start, packed.end)
        elif field.number not in (_SHAPE, _PROPERTIES, _TYPE, _NAME):
            raise UnusualRecordError("compressed, or unknown")
    if found is None or not size or found.stop - found.start != 4 * size:
        raise UnusualRecordError("another number of values")
    return found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A varint's value, and the position behind it. IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUATION_BIT:
            return value, position
        shift += 7
