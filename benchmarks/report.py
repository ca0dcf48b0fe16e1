"""What every benchmark needs: the machine in words, a table, goals, and a place in RESULTS.md."""

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Measured, newest first. Each section is written by the command that it names; a figure is a median over rounds in which
all sides took turns, a ratio the median of the rounds' ratios.
"""


@dataclass(frozen=True)
class Goal:
    """Something that was to be reached. `measured`: in words, with its unit."""

    name: str
    measured: str
    reached: bool


def machine() -> str:
    """Processor, cores that may be used, memory, system and the packages that matter."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) / 1e6 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "protobuf", "grpcio"))
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GB, Python {platform.python_version()}, {packages}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, aligned so that it reads well as text, too."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [" | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    rule = " | ".join("-" * (width - 1) + ":" for width in widths)
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def publish(title: str, command: str, body: str, goals: Sequence[Goal], results: Path = RESULTS) -> int:
    """Print a section and put it into the results, in the place of an older one of the same title.

    Returns:
        The exit status: 1 when a goal was missed.
    """
    marks = "\n".join(f"- {'reached' if goal.reached else 'MISSED'}: {goal.name}: {goal.measured}" for goal in goals)
    date = datetime.date.today().isoformat()
    section = f"## {title}\n\n{date}, `{command}`, {machine()}.\n\n{body}\n\nGoals:\n\n{marks}\n"
    sys.stdout.write(section)
    sections = [part for part in _sections(results) if not part.startswith(f"## {title}\n")]
    results.write_text("\n".join([_HEAD, section, *sections]), encoding="utf-8")
    return 0 if all(goal.reached for goal in goals) else 1


def _sections(results: Path) -> list[str]:
    if not results.is_file():
        return []
    parts = results.read_text("utf-8").split("\n## ")[1:]
    return [f"## {part}".rstrip("\n") + "\n" for part in parts]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []
