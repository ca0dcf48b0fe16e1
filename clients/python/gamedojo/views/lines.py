"""Runs as lines: plain ones for logs and grep, JSON for programs."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from gamedojo.errors import GamedojoError
from gamedojo.models import HistoryEntry, MetricsSeries, Progress, Run
from gamedojo.steps import is_training
from gamedojo.texts import duration_text, outcome_text, return_text, steps_text


class JsonLinesView:
    """One record a line, whenever it changed; the last line of a run is its final record."""

    wants_series = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def show(self, run: Run) -> None:
        """Print the record if it changed."""
        if run.document != self._last.get(run.run_id):
            self._last[run.run_id] = run.document
            self._console.file.write(json.dumps(run.document) + "\n")
            self._console.file.flush()

    def learn(self, series: MetricsSeries) -> None:
        """Programs ask for the series themselves."""

    def trouble(self, error: GamedojoError | None) -> None:
        """Programs see the gap by the records' own times."""


@dataclass
class _Told:
    """What was said of one run."""

    run: Run | None = None
    history: tuple[HistoryEntry, ...] = ()
    at_seconds: float = 0.0
    warnings: set[tuple[str, str]] = field(default_factory=set)


class PlainView:
    """A line for each state that a run has entered, now and then one when its training has got on, and its outcome.

    Each is whole in itself: the time since the run's creation, the state, what there is to say. With `names_runs` it
    begins with the run's id.
    """

    wants_series = True

    def __init__(self, console: Console, seconds_between_lines: float = 5.0, *, names_runs: bool = False) -> None:
        self._console = console
        self._seconds_between_lines = seconds_between_lines
        self._names_runs = names_runs
        self._told: dict[str, _Told] = {}
        self._in_trouble = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def show(self, run: Run) -> None:
        """Print lines if there is something new to say."""
        told = self._told.setdefault(run.run_id, _Told())
        if told.run is None:
            self._print(f"{run.run_id}  policy {run.policy}" if self._names_runs else _heading(run))
        for line in self._news(run, told):
            self._say(run, line)

    def learn(self, series: MetricsSeries) -> None:
        """Say each warning once; the numbers are the records'."""
        told = self._told[series.run_id]
        for behavior in series.behaviors:
            for warning in behavior.warnings:
                if told.run is not None and (warning.behavior, warning.code) not in told.warnings:
                    told.warnings.add((warning.behavior, warning.code))
                    remedy = f" Remedy: {warning.remedy}" if warning.remedy else ""
                    words = f"WARNING {warning.behavior} ({warning.code}): {warning.cause}{remedy}"
                    self._say(told.run, f"{_elapsed(told.run)}  {words}")

    def trouble(self, error: GamedojoError | None) -> None:
        """Say when the API goes and when it comes back."""
        if error is None:
            self._print("(the API answers again)")
        elif not self._in_trouble:
            self._print(f"(no answer, still trying: {error})")
        self._in_trouble = error is not None

    def _news(self, run: Run, told: _Told) -> list[str]:
        known = told.history if run.history[: len(told.history)] == told.history else ()  # else it was redriven
        lines = [f"{_elapsed(run, entry.at)}  {entry.state}" for entry in run.history[len(known) :]]
        entered = run.history[-1].state if run.history else ""
        if run.state != entered and (told.run is None or told.run.state != run.state):
            lines.append(f"{_elapsed(run)}  {run.state or run.status}")
        if is_training(run) and self._got_on(run, told, has_lines=bool(lines)):
            lines.append(f"{_elapsed(run)}  {run.state}{_progress_words(run.progress)}")
        if lines or told.run is None:
            told.run, told.history, told.at_seconds = run, run.history, run.elapsed_seconds()
        if run.is_final:
            lines += [f"{_elapsed(run)}  {run.status}", *outcome_text(run).splitlines()]
        return lines

    def _got_on(self, run: Run, told: _Told, *, has_lines: bool) -> bool:
        """Whether training has, since its last line."""
        if run.progress.env_steps is None or (told.run is not None and run.progress == told.run.progress):
            return False
        return has_lines or run.elapsed_seconds() - told.at_seconds >= self._seconds_between_lines

    def _say(self, run: Run, line: str) -> None:
        self._print(f"{run.run_id}  {line}" if self._names_runs else line)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _heading(run: Run) -> str:
    return f"policy {run.policy}, run {run.run_id}"


def _elapsed(run: Run, at: datetime | None = None) -> str:
    """From the run's creation until then, or until now or its end."""
    if at is None or run.created_at is None:
        return f"{duration_text(run.elapsed_seconds()):>8}"
    return f"{duration_text(max(0.0, (at - run.created_at).total_seconds())):>8}"


def _progress_words(progress: Progress) -> str:
    speed = f"  {progress.env_steps_per_second:,.0f} env steps/s" if progress.env_steps_per_second else ""
    return f"  env steps {steps_text(progress)}  mean return {return_text(progress.mean_return)}{speed}"
