"""Of a training's progress lines, as many as a plot can show: any number of lines in bounded memory."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.contracts.api import BehaviorSeries
from pipeline.contracts.policy import TrainingWarning
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError

Line = Mapping[str, Any]

MOST_WARNINGS = 16
"""Kinds of warnings that are kept of a behavior."""


@dataclass
class _Kept:
    """Every `stride`-th line; when there are too many, every other one goes and the stride doubles."""

    points: int
    seen: int = 0
    stride: int = 1
    lines: list[Line] = field(default_factory=list)
    last: Line = field(default_factory=dict)
    warnings: dict[str, TrainingWarning] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        if self.seen % self.stride == 0:
            self.lines.append(line)
            if len(self.lines) > 2 * self.points:
                self.lines = self.lines[::2]
                self.stride *= 2
        self.seen += 1
        self.last = line
        for warning in _warnings(line):
            if warning.code in self.warnings or len(self.warnings) < MOST_WARNINGS:
                self.warnings[warning.code] = warning

    def chosen(self) -> list[Line]:
        """At most `points`, evenly, with the first and the last."""
        lines = self.lines if self.lines[-1] is self.last else [*self.lines, self.last]
        if len(lines) <= self.points:
            return lines
        step = (len(lines) - 1) / (self.points - 1)
        return [lines[round(index * step)] for index in range(self.points)]


class Series:
    """Takes progress lines in their order; one that comes again, out of a second source, is passed over."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._behaviors: dict[str, _Kept] = {}

    def add_text(self, text: str | bytes) -> None:
        """A line of progress.jsonl or of the job's log, where other lines stand too."""
        if text.lstrip()[:1] not in ("{", b"{"):
            return
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(line, dict) and isinstance(line.get("behavior"), str) and isinstance(line.get("iteration"), int):
            self._add(line)

    def _add(self, line: Line) -> None:
        kept = self._behaviors.setdefault(line["behavior"], _Kept(self._points))
        if not kept.seen or line["iteration"] > kept.last["iteration"]:
            kept.add(line)

    def columns(self, behavior: str | None = None, metrics: Sequence[str] | None = None) -> tuple[BehaviorSeries, ...]:
        """Of all behaviors or one, all metrics or some.

        Raises:
            InvalidDocumentError: there is no such behavior, or none has such a metric.
        """
        kept = {name: one for name, one in self._behaviors.items() if behavior in (None, name)}
        if self._behaviors and not kept:
            raise _unknown("behavior", str(behavior), self._behaviors)
        found = tuple(
            BehaviorSeries(
                behavior=name,
                iterations=one.seen,
                columns=_columns(one.chosen()),
                warnings=tuple(one.warnings.values()),
            )
            for name, one in kept.items()
        )
        if metrics is None:
            return found
        known = dict.fromkeys(column for one in found for column in one.columns)
        for metric in metrics:
            if found and metric not in known:
                raise _unknown("metrics", metric, known)
        return tuple(
            one.model_copy(update={"columns": {name: one.columns[name] for name in metrics if name in one.columns}})
            for one in found
        )


def _columns(lines: Sequence[Line]) -> dict[str, tuple[int | float | None, ...]]:
    """Each name under which some line has a number."""
    names = dict.fromkeys(name for line in lines for name, value in line.items() if _number(value) is not None)
    return {name: tuple(_number(line.get(name)) for line in lines) for name in names}


def _warnings(line: Line) -> list[TrainingWarning]:
    """Those of one line; what only looks like one is passed over: a build may write to the log as well."""
    told = line.get("warnings")
    found = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    texts = ({name: one.get(name) for name in ("code", "cause", "remedy")} for one in found)
    return [
        TrainingWarning(behavior=line["behavior"], **{name: str(text)[:500] for name, text in one.items()})
        for one in texts
        if all(isinstance(text, str) for text in one.values())
    ]


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _unknown(field_name: str, given: str, known: Iterable[str]) -> InvalidDocumentError:
    message = f"there is no {given!r:.80}; known here: {', '.join(known)}"
    return InvalidDocumentError([FieldProblem(field=field_name, message=message)])
