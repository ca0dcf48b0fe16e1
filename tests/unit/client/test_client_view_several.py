import io
from datetime import timedelta

import pytest
from rich.console import Console

from gamedojo.views import TerminalView
from tests.fakes.run_documents import BEGAN, RUN_ID, failed, succeeded, training
from tests.fakes.shown_runs import console, record, show_all, text_of


def several(where: Console, *documents: dict) -> TerminalView:
    view = TerminalView(where)
    for document in documents:
        view.show(record(document))
    return view


def test_several_runs_have_a_line_each() -> None:
    where = console(terminal=True, width=120)
    view = several(where, training(), {**failed(), "run_id": "x-2"}, {**succeeded(), "run_id": "x-3"})
    view.show(record(training(20_480, 0.5)))
    where.print(view.render(BEGAN + timedelta(seconds=20)))
    titles, one, other, third = text_of(where).splitlines()
    assert titles.split()[:2] == ["run", "step"]
    assert one.split() == [RUN_ID, "Train", "41%", "24.5", "s", "0.500", "▁█", "1,204", "20.0", "s"]
    assert other.split()[:3] == ["x-2", "FAILED", "BuildRejected"]
    assert third.split()[:3] == ["x-3", "SUCCEEDED", "0.930"]


def test_of_more_runs_than_lines_those_that_go_on_are_shown() -> None:
    where = Console(file=io.StringIO(), force_terminal=True, width=80, height=5, _environ={"TERM": "xterm"})
    ended = [{**succeeded(), "run_id": f"ended-{number}"} for number in range(4)]
    view = several(where, *ended, {**training(), "run_id": "open-1"}, {**training(), "run_id": "open-2"})
    with where.capture() as captured:
        where.print(view.live_picture())
    shown = [line for line in captured.get().splitlines() if line]
    assert len(shown) == 5
    assert "open-1" in captured.get()
    assert "open-2" in captured.get()
    assert "and 3 more" in shown[-1]


def test_the_outcomes_of_several_runs_name_theirs() -> None:
    where = console(terminal=True)
    show_all(several(where, training()), {**failed(), "run_id": "x-2"}, {**succeeded(), "run_id": "x-3"})
    assert "x-2: Failed in InspectBuild (BuildRejected): The zip holds no Linux program." in text_of(where)
    assert "x-3: Evaluated mean return 0.930" in text_of(where)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_no_line_of_several_runs_is_wider_than_the_terminal(width: int) -> None:
    where = console(terminal=True, width=width)
    view = several(where, training(), *({**document, "run_id": "x-2"} for document in (failed(), succeeded())))
    where.print(view.render(BEGAN))
    assert max(len(line) for line in text_of(where).splitlines()) <= width
