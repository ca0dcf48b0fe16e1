"""Which build of torch an image gets: fetched by a real pip, from a folder of small wheels in place of an index."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from local.errors import ImageError
from local.images import wheels
from local.images.wheels import LOCKS, TORCH_LOCKS, fetched_wheels, torch_build
from local.progress import Progress

QUIET = Progress(lambda _line: None)


def wheel(folder: Path, version: str, requires: str = "") -> str:
    """A wheel of a torch that is empty; returns its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / f"torch-{version}-py3-none-any.whl"
    information = f"torch-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        needed = f"Requires-Dist: {requires}\n" if requires else ""
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n{needed}")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Locks of both builds of torch, whose wheels lie in one folder."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    for lock in LOCKS:
        (root / lock).touch()
    for build, version in {"cpu": "9.1.0+cpu", "cuda": "9.1.0"}.items():
        found = wheel(tmp_path / "index", version, requires="gamedojo-none-such>=1")
        (root / TORCH_LOCKS[build]).write_text(f"torch=={version} \\\n    --hash=sha256:{found}\n")
    return root


def fetch(checkout: Path, build: str) -> list[str]:
    own = {"PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    own["PIP_FIND_LINKS"] = str(checkout.parent / "index")
    return [path.name for path in fetched_wheels(checkout, checkout.parent / "cache", build, own, QUIET).iterdir()]


@pytest.mark.parametrize("first", [("cpu", "cuda"), ("cuda", "cpu")])
def test_each_build_s_wheel_is_fetched_where_both_can_be_had(checkout: Path, first: tuple[str, str]) -> None:
    fetched = {build: fetch(checkout, build) for build in first}
    assert fetched == {"cpu": ["torch-9.1.0+cpu-py3-none-any.whl"], "cuda": ["torch-9.1.0-py3-none-any.whl"]}
    (checkout.parent / "index").rename(checkout.parent / "away")
    assert {build: fetch(checkout, build) for build in first} == fetched, "each is kept beside the other"


@pytest.mark.parametrize("build", TORCH_LOCKS)
def test_a_wheel_that_is_not_the_locked_one_is_refused(checkout: Path, build: str) -> None:
    for version in ("9.1.0+cpu", "9.1.0"):
        wheel(checkout.parent / "index", version, requires="something-else")
    with pytest.raises(ImageError, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        fetch(checkout, build)


def test_a_build_that_is_named_is_taken_and_an_unknown_one_refused() -> None:
    assert [torch_build({"TORCH_BUILD": build}) for build in ("cpu", "cuda")] == ["cpu", "cuda"]
    with pytest.raises(ImageError, match="TORCH_BUILD is 'rocm'; known are cpu and cuda"):
        torch_build({"TORCH_BUILD": "rocm"})


@pytest.mark.parametrize(("installed", "build"), [("2.13.0+cpu", "cpu"), ("2.13.0", "cuda"), ("2.13.0+cu126", "cuda")])
def test_else_it_is_the_build_that_is_installed(monkeypatch: pytest.MonkeyPatch, installed: str, build: str) -> None:
    monkeypatch.setattr(wheels, "version", {"torch": installed}.__getitem__)
    assert torch_build({}) == torch_build({"TORCH_BUILD": ""}) == build
