"""MessagePack, read as msgspec writes it; whatever else the bytes are, one error says so."""

import struct
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rules.msgpack import MAX_DEPTH, NotMessagePackError, unpack

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text() | st.binary(max_size=300)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20), max_leaves=40
)


@given(DOCUMENTS)
def test_what_was_written_is_read(document):
    assert unpack(msgspec.msgpack.encode(document)) == document


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_every_width_of_a_size_is_read(size):
    for document in ("x" * size, b"x" * size, [1] * size, {str(i): i for i in range(size)}):
        assert unpack(msgspec.msgpack.encode(document)) == document


def test_single_precision_is_read():
    assert unpack(b"\xca" + struct.pack(">f", 0.5)) == 0.5


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_none(data):
    with suppress(NotMessagePackError):
        unpack(data)


@settings(max_examples=50)
@given(DOCUMENTS, st.data())
def test_what_is_cut_off_is_none(document, data):
    whole = msgspec.msgpack.encode(document)
    with pytest.raises(NotMessagePackError):
        unpack(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut off"),
        (b"\x01\x01", "1 bytes follow"),
        (b"\xc1", "type 0xc1"),
        (b"\xd4\x01\x00", "type 0xd4"),
        (b"\xdd\xff\xff\xff\xff", "cut off"),
        (b"\xdf\xff\xff\xff\xff\x00\x00", "cut off"),
        (b"\xc6\xff\xff\xff\xff", "cut off"),
        (b"\x81\x01\x01", "no text"),
        (b"\xa1\xff", "UTF-8"),
        (b"\x91" * (MAX_DEPTH + 1) + b"\x01", "nested deeper"),
        (b"\x91" * 100_000, "nested deeper"),
    ],
)
def test_what_is_wrong_is_told(data, said):
    with pytest.raises(NotMessagePackError, match=said):
        unpack(data)
