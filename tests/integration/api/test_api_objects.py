"""Objects read as files: what `zipfile` sees is what a file on disk would show it."""

import io
import zipfile

import pytest

from pipeline.aws.objects import ObjectStore
from tests.fakes.control_stack import BUCKET, control_stack


@pytest.fixture(scope="module")
def stack():
    with control_stack() as made:
        yield made


@pytest.mark.parametrize("size_bytes", [0, 1, 21, 22, 23, 100, 70_000])
def test_an_object_of_any_size_that_is_no_zip_is_told_as_such(stack, size_bytes):
    stack.put(f"runs/{size_bytes}/build.zip", b"x" * size_bytes)
    with ObjectStore(stack.s3, BUCKET).random_access(f"runs/{size_bytes}/build.zip") as file:
        assert not zipfile.is_zipfile(file)


def test_a_zip_is_read_by_ranges(stack):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("Game.x86_64", b"\x7fELF" + b"x" * 600_000)
        archive.writestr("gamedojo.json", "{}")
    stack.put("runs/r/build.zip", made.getvalue())
    with ObjectStore(stack.s3, BUCKET).random_access("runs/r/build.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["Game.x86_64", "gamedojo.json"]
        assert archive.read("gamedojo.json") == b"{}"
        assert archive.testzip() is None
