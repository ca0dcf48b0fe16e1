"""model.tar.gz: only what was written comes out of it, and what is packed is the same each time."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.aws.objects import ObjectStore
from pipeline.errors import ArtifactInvalidError
from pipeline.steps import archives
from tests.fakes.artifact_archives import tar_gz, training_files
from tests.fakes.control_stack import BUCKET, control_stack

KEY = "runs/basic-1/output/job/output/model.tar.gz"


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    with control_stack() as stack:
        yield ObjectStore(stack.s3, BUCKET)


def unpacked(objects: ObjectStore, body: bytes, into: Path, limit: int = 10_000_000) -> Path:
    objects.write(KEY, body)
    archives.unpack(objects, KEY, into, limit)
    return into


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def special(name: str, kind: bytes, target: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = target
        archive.addfile(member)
    return buffer.getvalue()


def test_files_come_out_as_they_went_in_and_are_those_of_the_manifest(objects: ObjectStore, tmp_path: Path) -> None:
    written = training_files("basic-1")
    folder = unpacked(objects, tar_gz(written), tmp_path)
    assert files(folder) == written
    assert set(archives.check_manifest(folder, KEY).files) == set(written) - {"manifest.json"}


@pytest.mark.parametrize("behind", [b"", b"what nobody unpacks" * 100_000])
def test_the_hash_is_that_of_the_whole_object(objects: ObjectStore, tmp_path: Path, behind: bytes) -> None:
    body = tar_gz(training_files("basic-1")) + behind
    objects.write(KEY, body)
    assert archives.unpack(objects, KEY, tmp_path) == hashlib.sha256(body).hexdigest()
    assert files(tmp_path) == training_files("basic-1")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", ".."])
def test_a_path_that_leads_outside_writes_nothing_there(objects: ObjectStore, tmp_path: Path, name: str) -> None:
    into = tmp_path / "deep" / "into"
    with pytest.raises(ArtifactInvalidError, match="no plain file inside it"):
        unpacked(objects, tar_gz({"good": b"1", name: b"evil"}), into)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"good"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_are_refused(objects: ObjectStore, tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ArtifactInvalidError, match="no plain file"):
        unpacked(objects, special("lib", kind, "/etc/passwd"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_leads_nowhere_even_if_its_name_does(objects: ObjectStore, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    unpacked(objects, special("../outside", tarfile.DIRTYPE), into)
    assert [path.name for path in tmp_path.iterdir()] == ["into"]


def test_a_bomb_is_stopped_before_it_is_written(objects: ObjectStore, tmp_path: Path) -> None:
    body = tar_gz({"small": bytes(1000), "bomb": bytes(1_000_000)})
    assert len(body) < 10_000
    with pytest.raises(ArtifactInvalidError, match="more than 1001 bytes"):
        unpacked(objects, body, tmp_path, 1001)
    assert set(files(tmp_path)) == {"small"}


def test_exactly_the_limit_is_taken(objects: ObjectStore, tmp_path: Path) -> None:
    assert set(files(unpacked(objects, tar_gz({"a": bytes(600), "b": bytes(400)}), tmp_path, 1000))) == {"a", "b"}


@pytest.mark.parametrize("body", [b"", b"no archive", b"\x1f\x8b", gzip.compress(b"no tar in it" * 100, mtime=0)])
def test_what_is_no_archive(objects: ObjectStore, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ArtifactInvalidError, match=r"no readable tar\.gz"):
        unpacked(objects, body, tmp_path)


WHOLE = tar_gz(training_files("basic-1") | {"noise": os.urandom(3000)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), st.booleans())
def test_damage_is_found_out_and_never_believed(
    objects: ObjectStore, tmp_path_factory: pytest.TempPathFactory, position: int, change: int, cut: bool
) -> None:
    body = WHOLE[:position] if cut else WHOLE[:position] + bytes([WHOLE[position] ^ change]) + WHOLE[position + 1 :]
    folder = tmp_path_factory.mktemp("model")
    try:
        unpacked(objects, body, folder)
        (folder / "noise").unlink(missing_ok=True)
        archives.check_manifest(folder, KEY)
    except ArtifactInvalidError:
        return
    # what is left untouched by the damage is whole: gzip's own header, the noise, what comes after the last file
    assert {name: content for name, content in files(folder).items() if name != "noise"} == training_files("basic-1")


def checked(folder: Path, change: dict[str, bytes | None]) -> str:
    for name, content in (training_files("basic-1") | change).items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    with pytest.raises(ArtifactInvalidError) as caught:
        archives.check_manifest(folder, KEY)
    return caught.value.cause


@pytest.mark.parametrize("content", [b"onnx of basic-2", b"onnx of basic-1 and more", b""])
def test_a_file_that_was_altered_is_named(tmp_path: Path, content: bytes) -> None:
    assert checked(tmp_path, {"policies/Basic.onnx": content}).startswith("policies/Basic.onnx in")


@pytest.mark.parametrize("change", [{"config.json": None}, {"policies/Extra.onnx": b"x"}])
def test_a_file_that_is_missing_or_unexpected_is_named(tmp_path: Path, change: dict[str, bytes | None]) -> None:
    assert next(iter(change)) in checked(tmp_path, change)


@pytest.mark.parametrize("manifest", [None, b"", b"{}", b"\xff", b'{"format_version": 2, "run_id": "a", "files": {}}'])
def test_a_manifest_that_cannot_be_read(tmp_path: Path, manifest: bytes | None) -> None:
    assert "no readable manifest.json" in checked(tmp_path, {"manifest.json": manifest})


def test_a_manifest_that_names_a_file_outside_the_folder(tmp_path: Path) -> None:
    document = json.loads(training_files("basic-1")["manifest.json"])
    document["files"]["../secret"] = document["files"]["config.json"]
    (tmp_path / "secret").write_bytes(b"{}")
    folder = tmp_path / "model"
    folder.mkdir()
    assert "../secret" in checked(folder, {"manifest.json": json.dumps(document).encode()})


def test_packing_gives_the_same_bytes_each_time_whatever_the_order_and_the_times(tmp_path: Path) -> None:
    names = ["policies/Basic.onnx", "policy_spec.json", "manifest.json"]
    packed = []
    for turn, order in enumerate((names, names[::-1])):
        folder = tmp_path / str(turn)
        (folder / "policies").mkdir(parents=True)
        for name in order:
            (folder / name).write_bytes(name.encode())
            os.utime(folder / name, (turn * 1000, turn * 1000))
            (folder / name).chmod(0o600 + 0o40 * turn)
        archives.pack(folder, order, tmp_path / f"{turn}.tar.gz")
        packed.append((tmp_path / f"{turn}.tar.gz").read_bytes())
    assert packed[0] == packed[1]
    assert packed[0][4:8] == bytes(4), "gzip's header holds no time (RFC 1952, MTIME)"


def test_what_was_packed_is_unpacked(objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "from" / "policies").mkdir(parents=True)
    written = {"policies/Basic.onnx": os.urandom(3_000_000), "empty": b""}
    for name, content in written.items():
        (tmp_path / "from" / name).write_bytes(content)
    archives.pack(tmp_path / "from", list(written), tmp_path / "packed")
    assert files(unpacked(objects, (tmp_path / "packed").read_bytes(), tmp_path / "into")) == written
