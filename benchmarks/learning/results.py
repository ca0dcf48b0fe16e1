"""Results, each saved as it comes: an interrupted benchmark goes on where it was."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

Curve = list[tuple[int, float, float]]
"""(decisions, seconds, mean return of the exploring policy)."""


@dataclass(frozen=True)
class Result:
    """One training. `reached`: the mean return of the last evaluation, if any; decisions and seconds until then.

    `cores`: that it might use.
    """

    build: str
    seed: int
    side: str
    solved: bool
    decisions: int
    seconds: float
    reached: float | None
    curve: Curve
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))


class Results:
    """All of them, in one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        documents = json.loads(path.read_text("utf-8")) if path.is_file() else []
        self.all = [Result(**document) for document in documents]

    def has(self, build: str, seed: int, side: str) -> bool:
        """Whether this one is there already."""
        return any((one.build, one.seed, one.side) == (build, seed, side) for one in self.all)

    def of(self, build: str, side: str) -> list[Result]:
        """Of one environment and side, by seed."""
        return sorted((one for one in self.all if (one.build, one.side) == (build, side)), key=lambda one: one.seed)

    def add(self, result: Result) -> None:
        """Keep one, at once."""
        self.all.append(result)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps([asdict(one) for one in self.all]) + "\n", "utf-8")
        draft.replace(self._path)
