"""From the API to a view: records at every look, and the series of the trainings that have got on."""

import time
from collections.abc import Callable, Iterator

from gamedojo.errors import GamedojoError
from gamedojo.following import OpenRuns, Patience, follow_run, follow_runs
from gamedojo.models import MetricsSeries, Progress, Run
from gamedojo.views.protocol import WatchView

SERIES_SECONDS = 5.0
"""Least time between two questions for the series of one run, which cost the API more than a record ..."""

SERIES_SECONDS_OF_SEVERAL = 60.0
"""... and where several runs are shown, whose records tell as much of the curves as there is room for."""


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
        history: `GamedojoClient.metrics`, for curves, losses and warnings.

    Raises:
        As `follow_run`.
    """
    records = follow_run(fetch, run_id, patience, on_trouble=view.trouble)
    return _show(records, view, history, SERIES_SECONDS)[run_id]


def watch_runs(
    runs: OpenRuns,
    view: WatchView,
    patience: Patience | None = None,
    history: Callable[[str], MetricsSeries] | None = None,
) -> tuple[Run, ...]:
    """Show several runs until all have ended, and answer their final records; arguments as of `watch_run`.

    Raises:
        As `follow_runs`.
    """
    records = follow_runs(runs, patience, on_trouble=view.trouble)
    return tuple(_show(records, view, history, SERIES_SECONDS_OF_SEVERAL).values())


def _show(
    records: Iterator[Run], view: WatchView, history: Callable[[str], MetricsSeries] | None, every_seconds: float
) -> dict[str, Run]:
    """The last record of each run."""
    questions = _SeriesQuestions(history, every_seconds) if history is not None and view.wants_series else None
    shown: dict[str, Run] = {}
    with view:
        for run in records:
            shown[run.run_id] = run
            view.show(run)
            if questions is not None and (series := questions.ask(run)) is not None:
                view.learn(series)
    return shown


class _SeriesQuestions:
    """Asks for the series of runs whose training has got on, and not too often."""

    def __init__(
        self,
        ask: Callable[[str], MetricsSeries],
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._every_seconds, self._clock = ask, every_seconds, clock
        self._asked: dict[str, tuple[float, Progress]] = {}

    def ask(self, run: Run) -> MetricsSeries | None:
        """None: there is nothing new, or it is too soon, or the API is in trouble: a picture does without."""
        asked_at, progress = self._asked.get(run.run_id, (-self._every_seconds, Progress()))
        too_soon = self._clock() - asked_at < self._every_seconds and not run.is_final
        if run.progress == progress or too_soon:
            return None
        self._asked[run.run_id] = (self._clock(), run.progress)
        try:
            return self._ask(run.run_id)
        except GamedojoError:
            return None
