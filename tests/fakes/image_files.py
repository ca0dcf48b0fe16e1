"""What the files of two images are, and where they differ; with the standard library alone, for use in a container."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path


def described(root: Path) -> dict[str, str]:
    """Each file and folder below `root`, relative to it: mode, owner, capabilities and content, and no times.

    What an engine mounts into a container, as /etc/hosts, is on another device and not of the image.
    """
    return {path.relative_to(root).as_posix(): _description(path) for path in _paths(root)}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """A line for each path that differs."""
    return [
        f"{path}: {first.get(path, 'absent')} | {second.get(path, 'absent')}"
        for path in sorted(first.keys() | second.keys())
        if first.get(path) != second.get(path)
    ]


def _paths(root: Path) -> Iterator[Path]:
    device = root.lstat().st_dev
    for folder, names, files in os.walk(root):
        here = Path(folder)
        names[:] = [name for name in names if (here / name).lstat().st_dev == device]
        yield from (here / name for name in names)
        yield from (here / name for name in files if (here / name).lstat().st_dev == device)


def _description(path: Path) -> str:
    status = path.lstat()
    known = [stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}"]
    with suppress(OSError):  # it has none
        known.append(os.getxattr(path, "security.capability", follow_symlinks=False).hex())
    return " ".join([*known, *_content(path)])


def _content(path: Path) -> list[str]:
    if path.is_symlink():
        return [str(path.readlink())]
    if not path.is_file():
        return []
    with path.open("rb") as file:
        return [hashlib.file_digest(file, "sha256").hexdigest()]
