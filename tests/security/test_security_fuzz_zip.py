"""Zips whose structure is damaged: a manifest or a refusal in words, from InspectBuild and from the container alike."""

import io
import struct
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.build import BuildManifest
from pipeline.errors import InputError
from pipeline.rules.inspection import DAMAGED, inspect
from pipeline.rules.zip_directory import opened
from rl_src.envs.build import unpack_build
from rl_src.envs.errors import BuildError
from tests.fakes.sparse_zips import write_build
from tests.fakes.unity_zips import SCRIPT, build, elf

SIGNATURES = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")
LENGTHS = {b"PK\x01\x02": 46, b"PK\x03\x04": 30, b"PK\x05\x06": 22, b"PK\x06\x06": 56, b"PK\x06\x07": 20}


def _zip_64() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_build(Path(folder, "build.zip"), 1000).read_bytes()


MORE = [("gamedojo.json", b'{"seed": 1}'), ("Game_Data/globalgamemanagers", bytes(48) + b"2022.3.62f1\0")]
WHOLE = (build(more=MORE), build("Game/", elf()), build(program=SCRIPT * 50), _zip_64())
NUMBERS = st.sampled_from([0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]) | st.integers(0, 2**32 - 1)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the headers, some of whose fields say something else."""
    body = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        signature = draw(st.sampled_from([each for each in SIGNATURES if each in body]))
        places = [at for at in range(len(body)) if body.startswith(signature, at)]
        at = draw(st.sampled_from(places)) + draw(st.integers(4, LENGTHS[signature] - 4))
        width = draw(st.sampled_from([2, 4]))
        value = draw(NUMBERS) & (0xFFFF if width == 2 else 0xFFFFFFFF)
        if at + width <= len(body):
            struct.pack_into("<H" if width == 2 else "<I", body, at, value)
    return bytes(body)


def admitted(body: bytes) -> BuildManifest | None:
    try:
        with opened(io.BytesIO(body), len(body)) as archive:
            return inspect(archive, "key", len(body))
    except InputError as error:
        return None if error.cause and error.remedy else BuildManifest.model_construct()
    except DAMAGED:  # as `steps.building` has it
        return None


@settings(max_examples=500, deadline=None)
@given(damaged())
def test_fields_that_say_something_else(body: bytes) -> None:
    manifest = admitted(body)
    with tempfile.TemporaryDirectory() as folder:
        zip_path, into = Path(folder, "build.zip"), Path(folder, "into")
        zip_path.write_bytes(body)
        try:
            program = unpack_build(zip_path, into).relative_to(into).as_posix()
        except BuildError:
            assert not into.exists()
            return
        assert {path.name for path in Path(folder).iterdir()} == {"build.zip", "into"}
    assert manifest is None or manifest.executable == program


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(WHOLE), st.integers(0, 3000), st.integers(0, 3000))
def test_parts_of_zips_between_other_bytes(noise: bytes, body: bytes, start: int, end: int) -> None:
    for mixed in (noise + body[start:end], body[start:] + noise, noise + body + noise, body[:end] + body[start:]):
        admitted(mixed)
