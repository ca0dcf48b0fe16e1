"""The flow of an upload against a bucket in memory, with failures wherever hypothesis puts them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedojo.calls import Call
from gamedojo.errors import ApiError, GamedojoError, UnreachableError, UploadInterruptedError
from gamedojo.flows import Deed, PutFiles, carry_out
from gamedojo.uploading import PartialUpload, UploadOptions, upload
from gamedojo.wire import PutFile

FAILURES = (UnreachableError("refused"), ApiError(503, "SlowDown", "slow"), ApiError(403, "AccessDenied", "expired"))


class Bucket:
    """An API and its bucket. `fails`: what goes wrong with the deeds to come, one by one; None: nothing."""

    def __init__(self, part_size_bytes: int, fails: list[GamedojoError | None]) -> None:
        self.part_size_bytes, self.fails = part_size_bytes, fails
        self.parts: dict[int, bytes] = {}
        self.whole: bytes | None = None
        self.size_bytes = 0

    def do(self, deed: Deed) -> Any:
        if isinstance(deed, PutFiles):
            return tuple(self.trouble() or self.put(file) for file in deed.files)
        if error := self.trouble():
            raise error
        assert isinstance(deed, Call)
        return deed.parse(self.answer(deed))

    def trouble(self) -> GamedojoError | None:
        return self.fails.pop(0) if self.fails else None

    def put(self, file: PutFile) -> None:
        content = file.body.path.read_bytes()
        begin = file.body.offset_bytes
        self.parts[int(file.url.rpartition("/")[2])] = content[begin : begin + file.body.size_bytes]
        file.on_progress(file.body.size_bytes, file.body.size_bytes)

    def answer(self, call: Call[Any]) -> dict[str, Any]:
        build = {"build_id": "b", "key": "k"}
        match call.method, call.path:
            case "POST", "/builds":
                self.size_bytes = call.body["size_bytes"]
                count = -(-self.size_bytes // self.part_size_bytes)
                size = {"part_size_bytes": self.part_size_bytes, "part_count": count}
                return {**build, **size, "method": "MULTIPART", "parts": self.urls(1, min(count, 3))}
            case "POST", "/builds/b/parts":
                return {"parts": self.urls(call.body["first"], call.body["count"])}
            case "GET", "/builds/b" if self.whole is None:
                came = sum(map(len, self.parts.values()))
                return {**build, "size_bytes": came, "status": "UPLOADING", "parts": sorted(self.parts)}
            case "POST", "/builds/b/complete" if self.whole is None:
                self.whole = b"".join(part for _, part in sorted(self.parts.items()))
        assert self.whole is not None
        return {**build, "size_bytes": len(self.whole), "status": "READY"}

    def urls(self, first: int, count: int) -> list[dict[str, Any]]:
        return [{"number": n, "upload_url": f"https://b.example/{n}"} for n in range(first, first + count)]


@given(
    size_bytes=st.integers(1, 400),
    part_size_bytes=st.integers(7, 50),
    fails=st.lists(st.none() | st.sampled_from(FAILURES), max_size=120),
)
def test_whatever_fails_the_build_arrives_whole_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, size_bytes: int, part_size_bytes: int, fails: list[GamedojoError | None]
) -> None:
    build = tmp_path_factory.getbasetemp() / "MyGame.zip"
    build.write_bytes(np.random.default_rng(size_bytes).bytes(size_bytes))
    bucket = Bucket(part_size_bytes, fails)
    begun: list[PartialUpload] = []
    resume: PartialUpload | None = None
    errors: list[GamedojoError] = []
    for _ in range(len(fails) + 1):
        progress: list[tuple[int, int]] = []
        options = UploadOptions(True, resume, lambda *seen: progress.append(seen), begun.append)  # noqa: B023
        try:
            key = carry_out(upload(build, options), bucket.do)
            break
        except GamedojoError as error:
            errors.append(error)
        resume = begun[-1] if begun else None
    assert (key, bucket.whole) == ("k", build.read_bytes())
    assert progress[-1] == (size_bytes, size_bytes)
    interrupted = [error.upload for error in errors if isinstance(error, UploadInterruptedError)]
    assert set(interrupted) <= set(begun), "each error tells how to go on"
    assert {error for error in errors if not isinstance(error, UploadInterruptedError)} <= set(FAILURES)


@given(st.integers(1, 10**12), st.integers(1, 10**9))
def test_the_parts_are_the_file_without_a_gap(size_bytes: int, part_size_bytes: int) -> None:
    part_size_bytes = max(part_size_bytes, size_bytes // 100)
    begun = PartialUpload("b", "k", size_bytes, part_size_bytes)
    slices = [begun.slice_of(Path("x"), number) for number in range(1, begun.part_count + 1)]
    assert slices[0].offset_bytes == 0
    for one, other in pairwise(slices):
        assert one.offset_bytes + one.size_bytes == other.offset_bytes
        assert one.size_bytes == part_size_bytes
    assert slices[-1].offset_bytes + slices[-1].size_bytes == size_bytes
