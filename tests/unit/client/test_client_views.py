import io
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gamedojo.errors import UnreachableError
from gamedojo.following import Patience
from gamedojo.models import BehaviorSeries, MetricsSeries, Run
from gamedojo.reading import read
from gamedojo.texts import duration_text, outcome_text, seconds_left, size_text, sparkline
from gamedojo.views import JsonLinesView, PlainView, TerminalView, WatchView, picture_of, view_for, watch_run
from tests.fakes.run_documents import BEGAN, RUN_ID, failed, kept, run_document, succeeded, training


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


def drawn(document: dict, seconds: float = 20.0, width: int = 80) -> str:
    where = console(terminal=True, width=width)
    view = TerminalView(where)
    view.show(record(document))
    where.print(view.render(BEGAN + timedelta(seconds=seconds)))
    return text_of(where)


def test_the_view_suits_where_the_output_goes() -> None:
    assert isinstance(view_for(console(terminal=True)), TerminalView)
    assert isinstance(view_for(console()), PlainView)
    assert isinstance(view_for(console(terminal=True), as_json=True), JsonLinesView)
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_for(dumb), PlainView)


def test_plain_lines_tell_each_step_once_without_control_characters() -> None:
    where = console()
    admitted = run_document("AdmitRun")
    show_all(PlainView(where, 3600), admitted, admitted, training(1000), training(2000), succeeded())
    lines = text_of(where).splitlines()
    assert [line.split()[-1] for line in lines[:2]] == [RUN_ID, "AdmitRun"]
    assert "CheckTraining" in lines[2]
    assert "env steps 1,000 of 50,000" in lines[2]
    assert "FinishRun" in lines[3]
    assert lines[4].endswith("SUCCEEDED")
    assert "mean return 0.930" in lines[5]
    assert "gamedojo-dev-basic" in lines[6]
    assert "\x1b" not in text_of(where)


def test_plain_lines_tell_of_training_as_it_gets_on() -> None:
    where = console()
    show_all(PlainView(where, 0), training(1000), training(1000), training(2000, None))
    assert [line.split("env steps ")[1].split(" of")[0] for line in text_of(where).splitlines()[1:]] == [
        "1,000",
        "2,000",
    ]
    assert "mean return -" in text_of(where)


def test_plain_lines_are_not_wrapped_and_no_markup_is_read() -> None:
    where = console(width=40)
    document = failed()
    document["failure"]["cause"] = "The zip holds [bold]no[/bold] program " + "and so on " * 20
    show_all(PlainView(where), document)
    assert document["failure"]["cause"] in text_of(where)


def test_an_outage_is_told_once() -> None:
    where = console()
    view = PlainView(where)
    for error in (UnreachableError("refused"), UnreachableError("refused"), None):
        view.trouble(error)
    assert text_of(where).splitlines() == ["(no answer, still trying: refused)", "(the API answers again)"]


def test_json_lines_repeat_nothing_and_end_with_the_final_record() -> None:
    where = console(width=20)
    show_all(JsonLinesView(where), run_document(), run_document(), training(), succeeded())
    documents = [json.loads(line) for line in text_of(where).splitlines()]
    assert documents == [run_document(), training(), succeeded()]


def test_a_terminal_shows_ticks_bar_and_figures() -> None:
    picture = drawn(training())
    assert "✓ Admit the run" in picture
    assert "· Evaluate" in picture
    assert "10,240 of 50,000" in picture
    assert "mean return 0.412" in picture
    assert "env steps/s 1,204" in picture
    assert "at most 33.0 s left" in picture
    assert "elapsed 20.0 s" in picture


def test_the_bar_grows_and_is_full_once_training_has_ended() -> None:
    little, more = (drawn(document).count("━") for document in (training(5_000), training(25_000)))
    assert 0 < little < more
    assert drawn(succeeded()).count("━") == 50
    assert "31,232 of" not in drawn(succeeded())


def test_there_is_no_bar_before_training() -> None:
    assert "━" not in drawn(run_document("InspectBuild")) + drawn(failed())
    assert "━" in drawn(run_document("StartTraining"))


def test_waiting_for_the_record_leaves_no_trace_in_the_steps() -> None:
    where = console(terminal=True)
    view = TerminalView(where)
    where.print(view.render())
    assert "waiting for the run's record" in text_of(where)
    view.show(record(training()))
    where.print(view.render(BEGAN))
    assert text_of(where).count("waiting") == 1


def test_failure_is_crossed_and_what_was_skipped_is_dashed() -> None:
    picture = drawn(failed())
    assert "✗ Inspect the build" in picture
    assert "- Train" in picture


def test_what_was_cancelled_has_a_mark_of_its_own() -> None:
    assert "■ Train" in drawn(run_document("CheckTraining", "CANCELLED"))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for document in (run_document(), training(), succeeded(), failed()):
        assert max(len(line) for line in drawn(document, width=width).splitlines()) <= width


def test_a_terminal_that_knows_ascii_only_gets_ascii_only() -> None:
    raw = io.BytesIO()
    where = Console(
        file=io.TextIOWrapper(raw, "ascii"),
        force_terminal=True,
        width=80,
        color_system=None,
        _environ={"TERM": "xterm"},
    )
    with TerminalView(where) as view:
        view.show(record(training()))
    where.file.flush()
    assert b"x Admit the run" in raw.getvalue()


def test_leaving_a_terminal_view_shows_the_cursor_again_and_the_outcome() -> None:
    where = console(terminal=True)
    show_all(TerminalView(where), training(), failed())
    assert text_of(where).rstrip().endswith("Remedy: Build for Linux (x86_64) in Unity and zip the folder.")
    hidden, shown = text_of(where).rindex("\x1b[?25l"), text_of(where).rindex("\x1b[?25h")
    assert hidden < shown


def test_an_interrupted_terminal_view_shows_the_cursor_again() -> None:
    where = console(terminal=True)

    def fetch(run_id: str) -> Run:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_run(fetch, "r", TerminalView(where))
    assert "\x1b[?25h" in text_of(where)


def test_outcomes_in_words() -> None:
    assert outcome_text(record(failed())).splitlines() == [
        "Failed in InspectBuild (BuildRejected): The zip holds no Linux program.",
        "Remedy: Build for Linux (x86_64) in Unity and zip the folder.",
    ]
    assert "Not deployed. mean return 0.05 is below the gate of 0.9" in outcome_text(record(kept()))
    assert "over 100 episodes" in outcome_text(record(succeeded()))
    assert "does not say why" in outcome_text(record(run_document("FinishRun", "FAILED")))
    assert outcome_text(record(run_document("CheckTraining", "CANCELLED"))).startswith("Cancelled. ")
    assert outcome_text(record(run_document("FinishRun", "PARKED"))) == "Ended as PARKED."


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (187.9, "3:07"), (3753, "1:02:33")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")])
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


def test_time_left_needs_steps_limit_and_speed() -> None:
    progress = record(training()).progress
    assert seconds_left(progress) == pytest.approx((50_000 - 10_240) / 1204.5)
    assert seconds_left(record(run_document()).progress) is None


def test_a_sparkline_rises_from_the_smallest_to_the_largest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, ascii_only=True) == "_.-~=+*#"
    assert sparkline([1, 0], 80) == "█▁"
    assert sparkline([0, 2, 8, 10], 2) == "▁█", "neighbours are averaged"
    assert sparkline([3, 3, 3], 80) == "▅▅▅"
    assert sparkline([], 80) == sparkline([1, 2], 0) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(1, 60))
def test_a_sparkline_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


def curve_of(view: TerminalView, where: Console) -> str:
    where.print(view.render(BEGAN))
    return next((line for line in reversed(text_of(where).splitlines()) if line.startswith("  return  ")), "")


def test_a_terminal_draws_the_mean_return_as_it_comes() -> None:
    where = console(terminal=True)
    view = TerminalView(where)
    view.show(record(training(1_000, 0.25)))
    assert curve_of(view, where) == "", "one value is no curve"
    for env_steps, mean_return in ((2_000, None), (3_000, 0.5), (3_000, 0.5), (4_000, 0.75)):
        view.show(record(training(env_steps, mean_return)))
    assert curve_of(view, where).split() == ["return", "▁▅█", "0.250", "to", "0.750"]


def series(*behaviors: str) -> MetricsSeries:
    columns = {"mean_return": (0.0, None, 0.1, 0.2)}
    return MetricsSeries(RUN_ID, behaviors=tuple(BehaviorSeries(name, 4, columns) for name in behaviors))


@pytest.mark.parametrize(
    ("history", "curve"),
    [(series("Basic"), ["▁▂▃█", "0.000", "to", "0.930"]), (series("A", "B"), []), (UnreachableError("down"), [])],
)
def test_the_curve_begins_before_the_first_look(history: MetricsSeries | UnreachableError, curve: list[str]) -> None:
    where = console(terminal=True)
    documents = [training(4_000, 0.2), succeeded()]

    def ask(_: str) -> MetricsSeries:
        if isinstance(history, UnreachableError):
            raise history
        return history

    view = TerminalView(where)
    patience = Patience(poll_seconds=0.001)
    watch_run(lambda _: record(documents.pop(0)), RUN_ID, view, patience, ask)
    drawn_curve = curve_of(view, where).split()[1:]
    assert drawn_curve == (curve or ["▁█", "0.200", "to", "0.930"])


@pytest.mark.parametrize("view", [PlainView(console()), JsonLinesView(console())])
def test_views_without_a_curve_ask_for_no_series(view: WatchView) -> None:
    def ask(_: str) -> MetricsSeries:
        raise AssertionError

    watch_run(lambda _: record(succeeded()), RUN_ID, view, history=ask)


def test_a_picture_of_a_run_that_is_over_has_its_outcome() -> None:
    where = console(width=120)
    where.print(picture_of(record(failed()), where))
    assert "Remedy: Build for Linux" in text_of(where)
    assert "\x1b" not in text_of(where)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_the_curve_has_one_line_however_wide_the_terminal_is(width: int) -> None:
    where = console(terminal=True, width=width)
    view = TerminalView(where)
    view.show(record(training()))
    view.recall([number / 7 for number in range(500)])
    curve = curve_of(view, where)
    assert 10 < len(curve) <= width
    assert ("to 71.286" in curve) is (width >= 40)
