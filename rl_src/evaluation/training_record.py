"""What the artifact tells of its training: the effective configuration and the learning curve.

Both are for the report; an artifact without them, or of an older release, is evaluated all the same.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRecord:
    """`config`: config.json. `progress`: the lines of progress.jsonl. `summary`: training_summary.json."""

    config: Mapping[str, Any] = field(default_factory=dict)
    progress: tuple[Mapping[str, Any], ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    def solved_returns(self) -> dict[str, float]:
        """For each behavior the mean return at which its training counts it as solved, where its stop rule has one.

        It is the documented one of the behavior's preset unless the user's stop rule names another.
        """
        behaviors = self.config.get("behaviors")
        found: dict[str, float] = {}
        for name, settings in behaviors.items() if isinstance(behaviors, dict) else ():
            stop = settings.get("stop") if isinstance(settings, dict) else None
            solved = stop.get("mean_return") if isinstance(stop, dict) else None
            if isinstance(solved, int | float):
                found[name] = float(solved)
        return found


def read_training_record(folder: Path) -> TrainingRecord:
    """From an unpacked artifact; what is not there, or cannot be read, is left out."""
    config, summary = (_document(folder / name) for name in ("config.json", "training_summary.json"))
    lines = (_parsed(text, "progress.jsonl") for text in _text(folder / "progress.jsonl").splitlines() if text.strip())
    return TrainingRecord(
        config if isinstance(config, dict) else {},
        tuple(line for line in lines if isinstance(line, dict)),
        summary if isinstance(summary, dict) else {},
    )


def _document(path: Path) -> Any:
    text = _text(path)
    return _parsed(text, path.name) if text else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        log.info("%s is not shown in the report: %s", path.name, error)
        return ""


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        log.warning("%s is not shown in the report: %s", name, error)
        return None
