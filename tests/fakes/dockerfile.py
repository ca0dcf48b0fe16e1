"""A Dockerfile as its stages and instructions, and the files of an image that give rights away."""

import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction; `text` is what follows its name, continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell would split it."""
        return shlex.split(self.text)

    @property
    def command(self) -> list[str] | None:
        """Of CMD or ENTRYPOINT in exec form; None in shell form."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return None
        return found if isinstance(found, list) else None


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next; `base` is an image or an earlier stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def of(self, *names: str) -> list[Instruction]:
        """Those of these names, in order."""
        return [one for one in self.instructions if one.name in names]


@dataclass(frozen=True)
class Dockerfile:
    """`arguments`: defaults of those before the first FROM."""

    arguments: dict[str, str]
    stages: dict[str, Stage]

    def lineage(self, name: str) -> tuple[Instruction, ...]:
        """All instructions that make this stage's image, those of the stages below it first."""
        stage = self.stages[name]
        below = self.lineage(stage.base) if stage.base in self.stages else ()
        return below + stage.instructions


def read(path: Path) -> Dockerfile:
    """Parse a file whose stages all have names."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for one in _instructions(path.read_text(encoding="utf-8")):
        if one.name == "FROM":
            base, _, name = one.words
            current = stages[name] = Stage(name, base, ())
        elif current is None:
            key, _, default = one.text.partition("=")
            arguments[key] = default
        else:
            current = stages[current.name] = Stage(current.name, current.base, (*current.instructions, one))
    return Dockerfile(arguments, stages)


def _instructions(text: str) -> Iterator[Instruction]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in kept.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield Instruction(name.upper(), " ".join(rest.split()))


def copy_into(root: Path, context: Path, instructions: tuple[Instruction, ...]) -> None:
    """What COPY would put below the working directory, put below `root`; only relative targets are known."""
    for one in instructions:
        if one.name != "COPY":
            continue
        *sources, target = one.words
        for source in (context / name for name in sources):
            place = root / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            elif target.endswith("/"):
                place.mkdir(exist_ok=True)
                shutil.copy(source, place)
            else:
                shutil.copy(source, place)


def files_with_rights(root: Path) -> frozenset[str]:
    """Files below `root`, relative to it, that run with more rights than their caller's.

    `find -xdev -type f -perm /6000`, and those with capabilities. Of an unpacked image, less those of its base, this
    has to be empty.
    """
    device = root.lstat().st_dev
    found = set()
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if (Path(folder) / name).lstat().st_dev == device]
        for path in (Path(folder) / name for name in files):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and (status.st_mode & (stat.S_ISUID | stat.S_ISGID) or _has_caps(path)):
                found.add(path.relative_to(root).as_posix())
    return frozenset(found)


def _has_caps(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability", follow_symlinks=False))
    except OSError:
        return False  # it has none, or the file system knows none
