"""Runs on a terminal, redrawn in place."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gamedojo.errors import GamedojoError
from gamedojo.models import MetricsSeries, Run
from gamedojo.texts import duration_text, outcome_text
from gamedojo.views.pictures import STATUS_STYLES, RunPicture, RunsPicture
from gamedojo.views.tracking import TrackedRun


class TerminalView:
    """One run whole, several as a table; below them the outcomes of those that have ended, once it is left."""

    wants_series = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runs: dict[str, TrackedRun] = {}
        self._trouble: tuple[GamedojoError, datetime] | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots", style="cyan")
        self._live = Live(
            console=console, get_renderable=self.live_picture, refresh_per_second=8, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        for tracked in self._runs.values():
            if tracked.run.is_final:
                self._console.print(self._outcome(tracked.run), soft_wrap=True)

    def show(self, run: Run) -> None:
        """Take in the next record; it is drawn at the next refresh."""
        if run.run_id in self._runs:
            self._runs[run.run_id].take(run)
        else:
            tracked = TrackedRun(run)
            tracked.take(run)
            self._runs = {**self._runs, run.run_id: tracked}  # another thread draws what was there before

    def learn(self, series: MetricsSeries) -> None:
        """Take in the series behind the curve and the table."""
        self._runs[series.run_id].learn(series)

    def trouble(self, error: GamedojoError | None) -> None:
        """Show the trouble below the figures until it is over."""
        if error is None:
            self._trouble = None
        else:
            self._trouble = (error, self._trouble[1] if self._trouble else datetime.now(UTC))

    def render(self, now: datetime | None = None) -> RenderableType:
        """The present picture, as a record of its own; time goes on between the records."""
        return self._render(now or datetime.now(UTC), most_lines=None)

    def live_picture(self) -> RenderableType:
        """As `render`, within the terminal's height: what is drawn in place cannot scroll."""
        return self._render(datetime.now(UTC), most_lines=self._console.size.height)

    def _render(self, now: datetime, most_lines: int | None) -> RenderableType:
        trouble = self._trouble
        if trouble is None:
            return self._picture_of_runs(now, most_lines)
        error, since = trouble
        seconds = max(0.0, (now - since).total_seconds())
        words = Text(f"no answer for {duration_text(seconds)}, still trying: {error}", style="yellow")
        if most_lines is not None:
            most_lines -= len(self._console.render_lines(words))
        return Group(self._picture_of_runs(now, most_lines), words)

    def _picture_of_runs(self, now: datetime, most_lines: int | None) -> RenderableType:
        runs = list(self._runs.values())
        if not runs:
            waiting = Table.grid(padding=(0, 1))
            waiting.add_row(self._spinner, Text("waiting for the run's record"))
            return waiting
        if len(runs) == 1:
            return RunPicture(runs[0], now, self._spinner, most_lines)
        return RunsPicture(runs, now, most_lines)

    def _outcome(self, run: Run) -> Text:
        style = STATUS_STYLES.get(run.status, "bold").removeprefix("bold ")
        name = f"{run.run_id}: " if len(self._runs) > 1 else ""
        return Text(name + outcome_text(run), style=style)
