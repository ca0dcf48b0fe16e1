"""What a terminal shows of runs: of one all that there is to see, of several a line each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gamedojo.models import Run
from gamedojo.outlook import Limit, limits_of, most_seconds_left, spent_usd
from gamedojo.steps import Step, has_trained, is_training, present_step, steps_of
from gamedojo.texts import duration_text, number_text, return_text, usd_text
from gamedojo.views.columns import Column, Curves, fitting_table
from gamedojo.views.tracking import Learning, TrackedRun

STATUS_STYLES = {"SUCCEEDED": "bold green", "KEPT": "bold yellow", "FAILED": "bold red", "CANCELLED": "bold yellow"}
_STEP_STYLES = {
    "done": "green",
    "active": "bold cyan",
    "failed": "bold red",
    "cancelled": "yellow",
    "skipped": "dim",
    "pending": "dim",
}
_MARKS = {"done": "✓", "active": "▸", "failed": "✗", "cancelled": "■", "skipped": "-", "pending": "·"}
_ASCII_MARKS = {"done": "x", "active": ">", "failed": "!", "cancelled": "=", "skipped": "-", "pending": "."}

LEAST_BAR, MOST_BAR = 10, 50
MOST_WARNINGS = 3

_METRICS = (
    # title, metric, rank: what is left out first where there is little room has the highest
    ("length", "mean_episode_length", 3),
    ("env steps/s", "env_steps_per_second", 1),
    ("ELO", "elo", 1),
    ("policy loss", "policy_loss", 4),
    ("value loss", "vf_loss", 5),
    ("Q loss", "q1_loss", 5),
    ("baseline loss", "baseline_loss", 7),
    ("entropy", "entropy", 6),
)


@dataclass(frozen=True)
class RunPicture:
    """One run: its steps, how far training has come, how its behaviors learn, what it costs, what is not well.

    Where that takes more than `most_lines`, the steps are in one line; None: there is room for all.
    """

    tracked: TrackedRun
    now: datetime
    spinner: Spinner
    most_lines: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        run, ascii_only = self.tracked.run, options.ascii_only
        steps = steps_of(run, self.now)
        heading, below = _heading(run, self.now), list(self._below(options))
        height = sum(len(console.render_lines(part, options)) for part in (heading, *below)) + len(steps) + 1
        yield heading
        if self.most_lines is not None and height > self.most_lines:
            yield _steps_in_a_line(steps, ascii_only=ascii_only)
        else:
            yield _step_table(steps, self.spinner, options)
            yield Text("")
        yield from below

    def _below(self, options: ConsoleOptions) -> Iterator[RenderableType]:
        run, behaviors = self.tracked.run, self.tracked.behaviors()
        if behaviors or is_training(run):
            first = behaviors[0].returns[0] if len(behaviors) == 1 and behaviors[0].returns else None
            limits = limits_of(run, self.now, first, self.tracked.env_steps_per_second)
            yield _bars(run, limits, options.max_width)
            if behaviors:
                yield _learning_table(behaviors, options)
            yield from _figures(run, behaviors, limits)
        if cost := _cost_words(run, self.now):
            yield Text(f"cost {cost}", style="dim")
        warnings = self.tracked.warnings
        for warning in warnings[:MOST_WARNINGS]:
            remedy = f" {warning.remedy}" if warning.remedy else ""
            yield Text.assemble(
                ("! ", "bold yellow"), (f"{warning.behavior}: {warning.cause}", "yellow"), (remedy, "dim")
            )
        if len(warnings) > MOST_WARNINGS:
            yield Text(f"! and {len(warnings) - MOST_WARNINGS} more warnings", style="yellow")
        if run.notes:
            words = "1 setting was" if len(run.notes) == 1 else f"{len(run.notes)} settings were"
            yield Text(f"{words} not taken as written: gamedojo show {run.run_id} --json", style="dim")


@dataclass(frozen=True)
class RunsPicture:
    """Several runs, a line each: where it is, how far its training has come, how it learns, what it costs.

    Of more than there is room for in `most_lines`, those that go on are shown first.
    """

    tracked: Sequence[TrackedRun]
    now: datetime
    most_lines: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = list(self.tracked)
        if self.most_lines is not None and len(shown) > self.most_lines - 1:  # a line is the titles'
            by_interest = sorted(shown, key=lambda one: one.run.is_final)
            wanted = {one.run.run_id for one in by_interest[: max(1, self.most_lines - 2)]}
            shown = [one for one in shown if one.run.run_id in wanted]
        yield fitting_table(self._columns(shown), options.max_width, ascii_only=options.ascii_only)
        if hidden := len(self.tracked) - len(shown):
            yield Text(f"and {hidden} more", style="dim")

    def _columns(self, shown: Sequence[TrackedRun]) -> list[Column | Curves]:
        runs = [one.run for one in shown]
        learning = [next(iter(one.behaviors()), Learning("", (), {})) for one in shown]
        limits = [
            limits_of(one.run, self.now, env_steps_per_second=one.env_steps_per_second) if is_training(one.run) else ()
            for one in shown
        ]
        left = [most_seconds_left(of_run) for of_run in limits]
        speeds = [one.latest.get("env_steps_per_second") for one in learning]
        return [
            Column("run", [Text(run.run_id, style="bold") for run in runs], right=False),
            Column("step", [_where(run) for run in runs], right=False),
            Column("done", [_share_words(of_run) for of_run in limits], rank=1),
            Column("left", ["" if one is None else duration_text(one) for one in left], rank=2),
            Column("return", [return_text(one.latest.get("mean_return")) for one in learning], rank=1),
            Curves("curve", [one.returns for one in learning]),
            Column("env steps/s", ["" if one is None else f"{one:,.0f}" for one in speeds], rank=4),
            Column("elapsed", [duration_text(run.elapsed_seconds(self.now)) for run in runs], rank=3),
            Column("cost", [_spent_words(run, self.now) for run in runs], rank=5),
        ]


def _heading(run: Run, now: datetime) -> Text:
    return Text.assemble(
        (run.policy, "bold"),
        ("  run ", "dim"),
        run.run_id,
        "  ",
        (run.status, STATUS_STYLES.get(run.status, "bold cyan")),
        *([] if run.is_final else [("  ", ""), (run.state, "cyan")]),
        ("  elapsed ", "dim"),
        duration_text(run.elapsed_seconds(now)),
    )


def _step_table(steps: tuple[Step, ...], spinner: Spinner, options: ConsoleOptions) -> Table:
    marks = _ASCII_MARKS if options.ascii_only else _MARKS
    table = Table.grid(padding=(0, 1))
    table.add_column(width=2, justify="right")
    table.add_column(width=max(8, min(24, options.max_width - 14)), no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", min_width=8, no_wrap=True)
    for step in steps:
        style = _STEP_STYLES[step.status]
        mark: RenderableType = spinner if step.status == "active" else Text(marks[step.status], style=style)
        seconds = "" if step.seconds is None else duration_text(step.seconds)
        table.add_row(mark, Text(step.label, style=style), Text(seconds, style="dim"))
    return table


def _steps_in_a_line(steps: tuple[Step, ...], *, ascii_only: bool) -> Text:
    marks = _ASCII_MARKS if ascii_only else _MARKS
    line = Text(" ").join(Text(marks[step.status], style=_STEP_STYLES[step.status]) for step in steps)
    for step in steps:
        if step.status in ("active", "failed", "cancelled"):
            line.append(f"  {step.label}", style=_STEP_STYLES[step.status])
            line.append("" if step.seconds is None else f" {duration_text(step.seconds)}", style="dim")
    return line


def _bars(run: Run, limits: tuple[Limit, ...], width: int) -> Table:
    """A bar for each limit that is known; one that only pulses until there is one."""
    ended = has_trained(run)
    if ended:
        limits = (Limit("env steps", 1.0, f"{run.progress.env_steps or 0:,}"),)
    elif not limits:
        limits = (Limit("env steps", None, f"{run.progress.env_steps or 0:,}"),)
    words = max(len(limit.name) for limit in limits) + max(len(limit.text) for limit in limits)
    room = min(MOST_BAR, width - words - 3)
    grid = Table.grid(padding=(0, 1))
    for limit in limits:
        bar = [_bar(limit, room, pulses=not run.is_final and run.progress.env_steps is None)]
        grid.add_row(Text(limit.name, style="dim"), *(bar if room >= LEAST_BAR else ()), Text(limit.text))
    return grid


def _bar(limit: Limit, width: int, *, pulses: bool) -> ProgressBar:
    if limit.share is None:
        return ProgressBar(total=None if pulses else 1, completed=0, width=width, pulse=pulses, pulse_style="cyan")
    return ProgressBar(total=1, completed=limit.share, width=width, complete_style="cyan", finished_style="green")


def _learning_table(behaviors: Sequence[Learning], options: ConsoleOptions) -> Table:
    best = [max(one.returns, default=None) for one in behaviors]
    columns: list[Column | Curves] = [
        Column("return", [Text(return_text(one.latest.get("mean_return")), style="bold") for one in behaviors]),
        Curves("curve", [one.returns for one in behaviors]),
        Column("best", [return_text(value) for value in best], rank=2),
    ]
    if any(one.behavior for one in behaviors):
        rank = 0 if len(behaviors) > 1 else 8
        columns.insert(0, Column("behavior", [one.behavior for one in behaviors], rank, right=False))
    for title, metric, rank in _METRICS:
        values = [one.latest.get(metric) for one in behaviors]
        if any(value is not None for value in values):
            columns.append(
                Column(title, ["" if value is None else _metric_text(metric, value) for value in values], rank)
            )
    return fitting_table(columns, options.max_width, ascii_only=options.ascii_only)


def _metric_text(metric: str, value: float) -> str:
    return f"{value:,.0f}" if metric == "env_steps_per_second" else number_text(value)


def _figures(run: Run, behaviors: Sequence[Learning], limits: tuple[Limit, ...]) -> Iterator[Text]:
    episodes = sum(int(one.latest.get("episodes", 0)) for one in behaviors)
    parts: list[tuple[str, str]] = [("episodes ", "dim"), (f"{episodes:,}", "")] if episodes else []
    left = most_seconds_left(limits) if is_training(run) else None
    if left is not None:
        parts += [("   " if parts else "", ""), ("at most ", "dim"), (f"{duration_text(left)} left", "")]
    if parts:
        yield Text.assemble(*parts)


def _cost_words(run: Run, now: datetime) -> str:
    spent = spent_usd(run, now)
    most = run.estimate.max_usd if run.estimate else None
    if spent is None:
        return "" if most is None else f"of the jobs at most {usd_text(most)}"
    return f"about {usd_text(spent)}" + ("" if most is None else f" of at most {usd_text(most)}")


def _spent_words(run: Run, now: datetime) -> str:
    spent = spent_usd(run, now)
    return "" if spent is None else usd_text(spent)


def _where(run: Run) -> Text:
    if not run.is_final:
        return Text(present_step(run), style="cyan")
    failure = f" {run.failure.code}" if run.failure else ""
    return Text(f"{run.status}{failure}", style=STATUS_STYLES.get(run.status, "bold"))


def _share_words(limits: tuple[Limit, ...]) -> str:
    share = max((limit.share for limit in limits if limit.share is not None), default=None)
    return "" if share is None else f"{share:.0%}"
