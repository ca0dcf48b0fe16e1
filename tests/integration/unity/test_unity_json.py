"""The C# client's own JSON reader and writer, held against Python's json: one process, fed line by line."""

import json
import math
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.fakes.unity_client import UnityClient, needs_mono

pytestmark = needs_mono

EXAMPLES = settings(max_examples=150)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"]))  # half pairs of surrogates too
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXTS
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6))


@pytest.fixture(scope="module")
def echo(client: UnityClient) -> Iterator[Callable[[str], str]]:
    """What the reader makes of one line, written again; "refused: …" if it is no JSON."""
    process = subprocess.Popen(client.arguments("json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    to_it, from_it = process.stdin, process.stdout
    assert to_it is not None
    assert from_it is not None

    def ask(line: str) -> str:
        to_it.write(line.encode() + b"\n")
        to_it.flush()
        return from_it.readline().decode().removesuffix("\n")

    with process:
        yield ask
        to_it.close()
        assert process.wait(20) == 0


def strict(text: str) -> Any:
    """Python's json without the constants that JSON does not know; numbers that are no 64-bit integers as float32."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def integer(digits: str) -> int | float:
        return int(digits) if -(2**63) <= int(digits) < 2**63 else float32(digits)

    return json.loads(text, parse_constant=refuse, parse_int=integer, parse_float=float32)


def float32(text: str) -> float:
    """The nearest 32-bit number; infinite above them."""
    try:
        return float(struct.unpack("f", struct.pack("f", float(text)))[0])
    except OverflowError:
        return math.inf


@EXAMPLES
@given(document=DOCUMENTS, indent=st.sampled_from([None, " ", "\t"]))
def test_every_document_comes_back_the_same(echo: Callable[[str], str], document: Any, indent: str | None) -> None:
    line = json.dumps(document, indent=indent).replace("\n", " ")
    assert strict(echo(line)) == document


@EXAMPLES
@given(text=st.text())
def test_text_comes_back_the_same_unescaped(echo: Callable[[str], str], text: str) -> None:
    assert strict(echo(json.dumps([text], ensure_ascii=False))) == [text]


@EXAMPLES
@given(
    document=DOCUMENTS,
    at=st.integers(0, 10_000),
    removed=st.integers(0, 3),
    inserted=st.text('{}[],:"\\/0123456789-+.eEtruefalsn \t\x01\x7fü', max_size=3),
)
def test_what_python_refuses_is_refused(
    echo: Callable[[str], str], document: Any, at: int, removed: int, inserted: str
) -> None:
    valid = json.dumps(document)
    at %= len(valid) + 1
    text = valid[:at] + inserted + valid[at + removed :]
    try:
        read = strict(text)
    except ValueError:
        assert echo(text).startswith("refused: ")
        return
    assume("inf" not in repr(read))  # too large a number
    assert strict(echo(text)) == read


@EXAMPLES
@given(number=st.integers(2**63, 2**127) | st.integers(-(2**127), -(2**63) - 1))
def test_larger_integers_are_read_as_doubles(echo: Callable[[str], str], number: int) -> None:
    assert strict(echo(json.dumps(number))) == float32(str(number))


def test_of_two_members_of_one_name_the_last_counts(echo: Callable[[str], str]) -> None:
    assert strict(echo('{"a": 1, "b": 2, "a": 3}')) == {"a": 3, "b": 2}


@pytest.mark.parametrize("text", ["", " ", "NaN", "-Infinity", "[1e999]", "[" * 65 + "]" * 65, "\ufeff1", "1 1", "'a'"])
def test_what_is_no_json_is_refused(echo: Callable[[str], str], text: str) -> None:
    assert echo(text).startswith("refused: ")
