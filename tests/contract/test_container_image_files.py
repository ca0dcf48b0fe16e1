"""What tells whether two images have the same files finds whatever makes them differ, and nothing else."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.image_files import described, differences

ROOT = os.geteuid() == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "folder" / "file").write_text("text")
    (root / "folder" / "program").write_text("#!/bin/sh")
    (root / "link").symlink_to("folder/file")
    (root / "folder" / "link").symlink_to("empty")
    return root


def test_a_copy_of_another_time_is_the_same(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tree, copy, symlinks=True)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert set(described(tree)) == {"folder", "folder/empty", "folder/file", "folder/link", "folder/program", "link"}
    assert differences(described(tree), described(copy)) == []


def relink(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("folder/program")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda root: (root / "folder" / "file").write_text("Text"), ["folder/file"]),
        (lambda root: (root / "folder" / "program").chmod(0o755), ["folder/program"]),
        (lambda root: (root / "folder" / "program").chmod(0o4644), ["folder/program"]),
        (lambda root: (root / "folder" / "empty").chmod(0o700), ["folder/empty"]),
        (lambda root: (root / "folder" / "empty").rmdir(), ["folder/empty"]),
        (lambda root: (root / "folder" / "new").touch(), ["folder/new"]),
        (relink, ["link"]),
        pytest.param(
            lambda root: os.lchown(root / "folder" / "link", 10001, 0),
            ["folder/link"],
            marks=pytest.mark.skipif(not ROOT, reason="only root gives files away"),
        ),
    ],
)
def test_each_change_is_told(tree: Path, change: Callable[[Path], object], found: list[str]) -> None:
    before = described(tree)
    change(tree)
    told = differences(before, described(tree))
    assert [line.partition(": ")[0] for line in told] == found
    assert all(" | " in line for line in told)
