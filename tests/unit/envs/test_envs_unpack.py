"""Unpacking a zip from someone we do not know."""

import io
import os
import stat
import struct
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_src.envs import errors
from rl_src.envs.unpack import UnpackLimits, unpack_zip

LIMITS = UnpackLimits(unpacked_bytes=10_000, files=20)


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def zipped(folder: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    path = folder / "build.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpack(path: Path, limits: UnpackLimits = LIMITS) -> Path:
    into = path.parent / "into"
    unpack_zip(path, into, limits)
    return into


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a.txt", b"1"), ("d/e/f.bin", b"2"), ("empty/", b""))
    into = unpack(path)
    assert files(into) == {"a.txt": b"1", "d/e/f.bin": b"2"}
    assert (into / "empty").is_dir()


def test_backslashes_of_windows_zips_are_folders(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("Game_Data\\Managed\\x.dll", b"1"), ("Game_Data\\Empty\\", b""))
    into = unpack(path)
    assert files(into) == {"Game_Data/Managed/x.dll": b"1"}
    assert (into / "Game_Data" / "Empty").is_dir()


def test_what_operating_systems_add_is_left_out(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", b"1"), ("__MACOSX/._a", b"2"), ("d/.DS_Store", b"3"))
    assert files(unpack(path)) == {"a": b"1"}


def test_only_the_run_bit_of_modes_survives(tmp_path: Path) -> None:
    path = zipped(
        tmp_path,
        (entry("program", 0o100755), b"1"),
        (entry("suid", 0o104777), b"2"),
        (entry("private", 0o100600), b"3"),
    )
    into = unpack(path)
    modes = {name: stat.S_IMODE((into / name).stat().st_mode) for name in ("program", "suid", "private")}
    assert modes == {"program": 0o755, "suid": 0o755, "private": 0o644}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "..\\evil",
        "a\\..\\..\\evil",
        "C:\\evil",
        "c:/evil",
        "\\\\server\\share\\evil",
        "a/..",
    ],
)
def test_paths_that_lead_outside_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path, ("good", b"1"), (name, b"2"))
    with pytest.raises(errors.UnsafeZipError, match="outside"):
        unpack(path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["build.zip"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["..", ".", "a", "b", "", "\\", "C:", "/"]), min_size=1).map("/".join), min_size=1
    )
)
def test_no_name_reaches_outside(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    path = folder / "build.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in set(names):
            archive.writestr(zipfile.ZipInfo(name or "x"), b"1")
    try:
        unpack(path)
    except errors.BuildError:
        assert not (folder / "into").exists()
    assert {item.name for item in folder.iterdir()} <= {"build.zip", "into"}
    assert [item.name for item in tmp_path.iterdir() if len(item.name) != 16] == []


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644, stat.S_IFSOCK | 0o644]
)
def test_links_and_special_files_are_refused(tmp_path: Path, mode: int) -> None:
    path = zipped(tmp_path, (entry("lib", mode), b"/etc"), ("lib/passwd", b"2"))
    with pytest.raises(errors.UnsafeZipError, match="lib"):
        unpack(path)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a", "a"], "twice"), (["d\\a", "d/a"], "twice"), (["a", "a/b"], "as a folder"), (["a/b", "a"], "as a folder")],
)
def test_entries_that_contradict_each_other_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if names == ["a", "a"] else nullcontext():
        path = zipped(tmp_path, *((name, b"1") for name in names))
    with pytest.raises(errors.UnsafeZipError, match=message):
        unpack(path)


def test_too_many_files(tmp_path: Path) -> None:
    path = zipped(tmp_path, *((f"f{number}", b"") for number in range(21)))
    with pytest.raises(errors.BuildTooLargeError, match="21 files; at most 20"):
        unpack(path)


def test_a_bomb_is_refused_by_its_headers(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("bomb", bytes(10_001)))
    assert path.stat().st_size < 500
    with pytest.raises(errors.BuildTooLargeError):
        unpack(path)
    assert not (tmp_path / "into").exists()


def test_a_bomb_whose_headers_lie_is_stopped_while_it_is_written(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("bomb", bytes(50_000)))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 100)
    path.write_bytes(data)
    with pytest.raises(errors.BuildError):
        unpack(path)
    assert not (tmp_path / "into").exists()


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and type("Usage", (), {"free": 10}))
    with pytest.raises(errors.BuildTooLargeError, match="volume_size_gb"):
        unpack(zipped(tmp_path, ("a", bytes(11))))


def test_exactly_the_limit_is_allowed(tmp_path: Path) -> None:
    assert files(unpack(zipped(tmp_path, ("a", bytes(10_000)))))["a"] == bytes(10_000)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 but nothing more", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "build.zip"
    path.write_bytes(content)
    with pytest.raises(errors.NotAZipError, match=r"build\.zip is no zip"):
        unpack(path)


def test_a_damaged_file_inside_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "build.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("good", b"good content")
        archive.writestr("bad", b"content to be damaged")
    path.write_bytes(path.read_bytes().replace(b"to be damaged", b"to be d4maged"))
    with pytest.raises(errors.NotAZipError, match="damaged"):
        unpack(path)
    assert not (tmp_path / "into").exists()


def test_a_truncated_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", os.urandom(5000)))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(errors.NotAZipError):
        unpack(path)


def test_an_unknown_compression_says_what_to_do(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", b"1" * 100))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", data, data.index(signature) + offset, 9)  # Deflate64
    path.write_bytes(data)
    with pytest.raises(errors.NotAZipError, match="Deflate64"):
        unpack(path)


def test_a_password(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", b"1"))
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 1)
    path.write_bytes(data)
    with pytest.raises(errors.UnsafeZipError, match="password"):
        unpack(path)


def test_a_name_that_no_file_system_takes(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsafeZipError, match="255 bytes"):
        unpack(zipped(tmp_path, ("ü" * 128, b"1")))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", b"1"))
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("precious")
    with pytest.raises(FileExistsError):
        unpack(path)
    assert files(tmp_path / "into") == {"mine": b"precious"}


def test_an_empty_zip_is_a_zip(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    (tmp_path / "build.zip").write_bytes(buffer.getvalue())
    assert files(unpack(tmp_path / "build.zip")) == {}


def test_a_build_that_takes_too_long_leaves_nothing_behind(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", b"1"), ("b", b"2"))
    with pytest.raises(errors.BuildTooLargeError, match="within 0 s"):
        unpack(path, UnpackLimits(seconds=0.0))
    assert not (tmp_path / "into").exists()


def test_a_bomb_by_its_ratio(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a", bytes(500_000)))
    with pytest.raises(errors.BuildTooLargeError, match="as only bombs do"):
        unpack(path, UnpackLimits(small_bytes=100_000))
    assert files(unpack(path, UnpackLimits(small_bytes=500_000)))["a"] == bytes(500_000)


def test_small_files_may_pack_as_well_as_they_like(tmp_path: Path) -> None:
    assert len(files(unpack(zipped(tmp_path, ("a", bytes(9_000)))))["a"]) == 9_000
