"""model.tar.gz as it comes in and as it goes out: plain files inside the folder, which every user may read."""

import io
import tarfile
from pathlib import Path

import pytest

from container.artifacts import unpack, write_manifest
from container.failures import ContainerError


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname, made.size = kind, mode, link, 2 if kind == tarfile.REGTYPE else 0
    made.uid = made.gid = 12345
    return made


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "model.tar.gz"
    with tarfile.open(path, "w:gz") as written:
        for one in members:
            written.addfile(one, io.BytesIO(b"{}"))
    return path


def test_files_and_folders_are_ours_and_have_no_mode_of_their_own(tmp_path: Path) -> None:
    packed = archive(
        tmp_path, member("./", tarfile.DIRTYPE, 0o700), member("./deep/spec.json"), member("own", mode=0o6777)
    )
    unpack(packed, tmp_path / "into")
    into = tmp_path / "into"
    assert (into / "deep" / "spec.json").read_bytes() == b"{}"
    assert {path.relative_to(into).as_posix() for path in into.rglob("*")} == {"deep", "deep/spec.json", "own"}
    reference = tmp_path / "reference"
    reference.touch()
    assert (into / "own").stat().st_mode == reference.stat().st_mode
    assert (into / "own").stat().st_uid == reference.stat().st_uid


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("deep/../../outside"),
        member("/tmp/outside"),
        member("link", tarfile.SYMTYPE, link="/etc/passwd"),
        member("link", tarfile.LNKTYPE, link="good"),
        member("pipe", tarfile.FIFOTYPE),
        member("disk", tarfile.BLKTYPE),
        member("good/below-a-file"),
    ],
    ids=lambda one: f"{one.name} {one.type.decode()}",
)
def test_anything_else_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(ContainerError, match=r"InvalidArtifact|cannot be unpacked"):
        unpack(archive(tmp_path, member("good"), bad), tmp_path / "into")
    assert {path.name for path in tmp_path.rglob("*")} == {"model.tar.gz", "into", "good"}


def test_an_archive_that_is_none_or_ends_early_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path, member("good")).read_bytes()
    for content in (b"no archive", whole[:-20]):
        (tmp_path / "model.tar.gz").write_bytes(content)
        with pytest.raises(ContainerError, match="cannot be unpacked"):
            unpack(tmp_path / "model.tar.gz", tmp_path / "into")


def test_what_is_described_by_a_manifest_may_be_read_by_all(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir(mode=0o700)
    (tmp_path / "checkpoint" / "weights.safetensors").write_bytes(b"1")
    (tmp_path / "checkpoint" / "weights.safetensors").chmod(0o600)
    write_manifest(tmp_path, "basic-1")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.name != "manifest.json"}
    assert modes == {"checkpoint": 0o755, "weights.safetensors": 0o644}
