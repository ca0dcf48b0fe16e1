"""Runs as a view is given them, and a console that keeps what it is told."""

import io

from rich.console import Console

from gamedojo.models import BehaviorSeries, MetricsSeries, Run, TrainingWarning
from gamedojo.reading import read
from gamedojo.views import WatchView
from tests.fakes.run_documents import RUN_ID


def record(document: dict) -> Run:
    run = read(Run, document)
    run.document.update(document)
    return run


def console(*, terminal: bool = False, width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, _environ={"TERM": "xterm"}
    )


def text_of(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def show_all(view: WatchView, *documents: dict) -> None:
    with view:
        for document in documents:
            view.show(record(document))


def series(*behaviors: str, warnings: tuple[str, ...] = ()) -> MetricsSeries:
    columns = {
        "env_steps": (1_000.0, 2_000.0, 3_000.0, 4_000.0),
        "mean_return": (0.0, None, 0.1, 0.2),
        "mean_episode_length": (None, 20.0, 15.0, 12.5),
        "policy_loss": (-0.5, -0.01234, None, None),
    }
    return MetricsSeries(
        RUN_ID,
        behaviors=tuple(
            BehaviorSeries(
                name, 4, columns, tuple(TrainingWarning(name, code, "It is flat.", "Raise it.") for code in warnings)
            )
            for name in behaviors
        ),
    )
