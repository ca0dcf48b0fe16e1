"""A run while it goes on: live in a terminal, plain lines elsewhere, JSON lines for programs."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gamedojo.errors import GamedojoError
from gamedojo.following import Patience, follow_run
from gamedojo.models import MetricsSeries, Progress, Run
from gamedojo.steps import Step, steps_of
from gamedojo.texts import duration_text, outcome_text, return_text, seconds_left, sparkline, steps_text

STATUS_STYLES = {"SUCCEEDED": "bold green", "KEPT": "bold yellow", "FAILED": "bold red", "CANCELLED": "bold yellow"}
_STEP_STYLES = {
    "done": "green",
    "active": "bold cyan",
    "failed": "bold red",
    "cancelled": "yellow",
    "skipped": "dim",
    "pending": "dim",
}
_MARKS = {"done": "✓", "failed": "✗", "cancelled": "■", "skipped": "-", "pending": "·"}
_ASCII_MARKS = {"done": "x", "failed": "!", "cancelled": "=", "skipped": "-", "pending": "."}


class WatchView(Protocol):
    """Shows the records of one run. A context manager: leaving it leaves the terminal in order."""

    draws_curve: bool
    """Whether `recall` is of use."""

    def recall(self, returns: Sequence[float]) -> None:
        """Take in the mean returns of iterations before the first look."""

    def show(self, run: Run) -> None:
        """Take in the next record."""

    def trouble(self, error: GamedojoError | None) -> None:
        """The API is out of reach; None: it is back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def view_for(console: Console, *, as_json: bool = False) -> WatchView:
    """The view that suits where the output goes."""
    if as_json:
        return JsonLinesView(console)
    return TerminalView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


def watch_run(
    fetch: Callable[[str], Run],
    run_id: str,
    view: WatchView,
    patience: Patience | None = None,
    history: Callable[[str], MetricsSeries] | None = None,
) -> Run:
    """Show a run until it ends, and answer its final record.

    Args:
        fetch: `GamedojoClient.run`.
        run_id: the run.
        view: where it is shown.
        patience: time limits.
        history: `GamedojoClient.metrics`, for a curve that begins before the first look.

    Raises:
        As `follow_run`.
    """
    recalled = history is None or not view.draws_curve
    with view:
        for run in follow_run(fetch, run_id, patience, on_trouble=view.trouble):
            if history is not None and not recalled and run.progress.mean_return is not None:
                recalled = True
                view.recall(_returns_before(history, run_id))
            view.show(run)
    return run


def _returns_before(history: Callable[[str], MetricsSeries], run_id: str) -> tuple[float, ...]:
    """The mean returns so far, but for the latest, which the record has; of several behaviors, or in trouble, none."""
    try:
        behaviors = history(run_id).behaviors
    except GamedojoError:
        return ()
    return behaviors[0].told("mean_return")[:-1] if len(behaviors) == 1 else ()


def picture_of(run: Run, console: Console) -> RenderableType:
    """A run as it stands: what the terminal view shows of it, and its outcome."""
    view = TerminalView(console)
    view.show(run)
    return Group(view.render(), Text(outcome_text(run))) if run.is_final else view.render()


class JsonLinesView:
    """One record a line, whenever it changed; the last line is the final record."""

    draws_curve = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def show(self, run: Run) -> None:
        """Print the record if it changed."""
        if run.document != self._last:
            self._last = run.document
            self._console.file.write(json.dumps(run.document) + "\n")
            self._console.file.flush()

    def recall(self, returns: Sequence[float]) -> None:
        """Programs ask for the series themselves."""

    def trouble(self, error: GamedojoError | None) -> None:
        """Programs see the gap by the records' own times."""


class PlainView:
    """A line when the state changes, and now and then when training has got on."""

    draws_curve = False

    def __init__(self, console: Console, seconds_between_lines: float = 5.0) -> None:
        self._console = console
        self._seconds_between_lines = seconds_between_lines
        self._shown: Run | None = None
        self._shown_at_seconds = 0.0
        self._in_trouble = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def show(self, run: Run) -> None:
        """Print a line if there is something new to say."""
        if self._shown is None:
            self._line(f"policy {run.policy}, run {run.run_id}")
        if self._is_news(run):
            self._shown, self._shown_at_seconds = run, run.elapsed_seconds()
            self._line(f"{duration_text(run.elapsed_seconds()):>8}  {run.state or run.status}{_progress_words(run)}")
        if run.is_final:
            self._line(f"{duration_text(run.elapsed_seconds()):>8}  {run.status}")
            self._line(outcome_text(run))

    def recall(self, returns: Sequence[float]) -> None:
        """Lines tell of the present alone."""

    def trouble(self, error: GamedojoError | None) -> None:
        """Say when the API goes and when it comes back."""
        if error is None:
            self._line("(the API answers again)")
        elif not self._in_trouble:
            self._line(f"(no answer, still trying: {error})")
        self._in_trouble = error is not None

    def _is_news(self, run: Run) -> bool:
        shown = self._shown
        if shown is None or _step_label(run) != _step_label(shown):
            return True
        got_on = run.progress != shown.progress
        return got_on and run.elapsed_seconds() - self._shown_at_seconds >= self._seconds_between_lines

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class TerminalView:
    """Redrawn in place: the steps with ticks, a progress bar, the curve of the mean return, figures, the outcome."""

    draws_curve = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._run: Run | None = None
        self._returns: list[float] = []
        self._trouble: GamedojoError | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots", style="cyan")
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=8, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._run is not None and self._run.is_final:
            style = STATUS_STYLES.get(self._run.status, "bold")
            self._console.print(Text(outcome_text(self._run), style=style.removeprefix("bold ")), soft_wrap=True)

    def show(self, run: Run) -> None:
        """Take in the next record; it is drawn at the next refresh."""
        before = self._run.progress if self._run else Progress()
        if run.progress.mean_return is not None and run.progress.env_steps != before.env_steps:
            self._returns.append(run.progress.mean_return)
        self._run = run

    def recall(self, returns: Sequence[float]) -> None:
        """Begin the curve with what was before the first look."""
        self._returns = [*returns, *self._returns]

    def trouble(self, error: GamedojoError | None) -> None:
        """Show the trouble below the figures until it is over."""
        self._trouble = error

    def render(self, now: datetime | None = None) -> RenderableType:
        """The present picture; time goes on between the records."""
        if self._run is None:
            waiting = Table.grid(padding=(0, 1))
            waiting.add_row(self._spinner, Text("waiting for the run's record"))
            return waiting
        now = now or datetime.now(UTC)
        parts: list[RenderableType] = [
            _heading(self._run, now),
            _step_table(steps_of(self._run, now), self._spinner, ascii_only=self._console.options.ascii_only),
        ]
        if self._run.progress.env_steps is not None or _step_label(self._run) == "Train":
            parts.append(_ProgressLines(self._run, self._returns))
        if self._trouble is not None:
            parts.append(Text(f"no answer, still trying: {self._trouble}", style="yellow"))
        return Group(*parts)


class _ProgressLines:
    """The bar, the curve and the figures; bar and curve take what the terminal's width leaves."""

    def __init__(self, run: Run, returns: Sequence[float]) -> None:
        self._run = run
        self._returns = returns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Any:
        progress, ended = self._run.progress, _has_trained(self._run)
        steps = f"{progress.env_steps or 0:,}" if ended else steps_text(progress)
        width = max(10, min(50, options.max_width - len(steps) - 16))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(Text("  env steps  ", style="dim"), _bar(self._run, width, ended=ended), Text(steps))
        yield bar
        if len(self._returns) > 1:
            yield self._curve(options)
        yield Text.assemble(
            ("  mean return ", "dim"), (return_text(progress.mean_return), "bold"), *_figures(progress, self._run)
        )

    def _curve(self, options: ConsoleOptions) -> Text:
        ends = f" {return_text(min(self._returns))} to {return_text(max(self._returns))}"
        if options.max_width < len(ends) + 24:
            ends = ""
        width = min(50, options.max_width - len(ends) - 14)
        curve = sparkline(self._returns, width, ascii_only=options.ascii_only)
        return Text.assemble(("  return      ", "dim"), (curve, "cyan"), (ends, "dim"))


def _bar(run: Run, width: int, *, ended: bool) -> ProgressBar:
    """Full once training has ended, whichever stop rule ended it; a pulse while there are no figures yet."""
    progress = run.progress
    if ended:
        return ProgressBar(total=1, completed=1, width=width, finished_style="green")
    if progress.env_steps and progress.env_steps_limit:
        return ProgressBar(
            total=progress.env_steps_limit, completed=progress.env_steps, width=width, complete_style="cyan"
        )
    return ProgressBar(total=None, width=width, pulse=not run.is_final, pulse_style="cyan")


def _has_trained(run: Run) -> bool:
    return any(step.label == "Train" and step.status == "done" for step in steps_of(run))


def _figures(progress: Progress, run: Run) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    if progress.episodes is not None:
        parts += [("   episodes ", "dim"), (f"{progress.episodes:,}", "")]
    if progress.env_steps_per_second is not None:
        parts += [("   env steps/s ", "dim"), (f"{progress.env_steps_per_second:,.0f}", "")]
    left = seconds_left(progress)
    if left is not None and _step_label(run) == "Train" and not run.is_final:
        parts += [("   at most ", "dim"), (f"{duration_text(left)} left", "")]
    return parts


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


def _step_table(steps: tuple[Step, ...], spinner: Spinner, *, ascii_only: bool) -> Table:
    marks = _ASCII_MARKS if ascii_only else _MARKS
    table = Table.grid(padding=(0, 1))
    table.add_column(width=2, justify="right")
    table.add_column(min_width=24)
    table.add_column(justify="right", min_width=8)
    for step in steps:
        style = _STEP_STYLES[step.status]
        mark: RenderableType = spinner if step.status == "active" else Text(marks[step.status], style=style)
        seconds = "" if step.seconds is None else duration_text(step.seconds)
        table.add_row(mark, Text(step.label, style=style), Text(seconds, style="dim"))
    return table


def _step_label(run: Run) -> str:
    return next((step.label for step in steps_of(run) if step.status == "active"), run.state)


def _progress_words(run: Run) -> str:
    progress = run.progress
    if progress.env_steps is None or _step_label(run) != "Train":
        return ""
    speed = f"  {progress.env_steps_per_second:,.0f} env steps/s" if progress.env_steps_per_second else ""
    return f"  env steps {steps_text(progress)}  mean return {return_text(progress.mean_return)}{speed}"
