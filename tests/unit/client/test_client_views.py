import io
import json
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gamedojo.errors import UnreachableError
from gamedojo.following import Patience
from gamedojo.models import BehaviorSeries, MetricsSeries, Run, TrainingWarning
from gamedojo.reading import read
from gamedojo.texts import duration_text, outcome_text, seconds_left, size_text, sparkline
from gamedojo.views import JsonLinesView, PlainView, TerminalView, WatchView, picture_of, view_for, watch_run
from tests.fakes.run_documents import BEGAN, CHAIN, RUN_ID, at, failed, kept, run_document, succeeded, training


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
    assert lines[0].endswith(RUN_ID)
    assert "env steps 1,000 of 50,000" in lines.pop(5)
    assert [line.split() for line in lines[1:13]] == [[f"{at}.0", "s", state] for at, state in enumerate(CHAIN)]
    assert lines[13].split() == ["12.0", "s", "SUCCEEDED"]
    assert "mean return 0.930" in lines[14]
    assert "gamedojo-dev-basic" in lines[16]
    assert "\x1b" not in text_of(where)


def test_plain_lines_of_several_runs_name_theirs() -> None:
    where = console()
    other = {**training(7), "run_id": "other-1"}
    show_all(PlainView(where, names_runs=True), run_document(), other, failed(), other)
    lines = text_of(where).splitlines()
    assert all(line.split()[0] in (RUN_ID, "other-1") for line in lines)
    of_one = [line.removeprefix(RUN_ID).strip() for line in lines if line.startswith(RUN_ID)]
    assert of_one[0] == "policy basic"
    assert [line.split()[-1] for line in of_one[1:5]] == ["AdmitRun", "InspectBuild", "FinishRun", "FAILED"]
    assert of_one[5:] == outcome_text(record(failed())).splitlines()


def test_plain_lines_begin_anew_with_a_run_that_is_redriven() -> None:
    where = console()
    again = run_document("AdmitRun", history=[{"state": "AdmitRun", "at": at(60)}], updated_at=at(60))
    show_all(PlainView(where), run_document("InspectBuild"), again)
    assert text_of(where).splitlines()[-1].split() == ["1:00", "AdmitRun"]


def test_plain_lines_tell_of_a_state_that_is_not_in_the_history_yet() -> None:
    where = console()
    accepted = {**run_document(), "state": "Accepted", "history": []}
    show_all(PlainView(where), accepted, accepted, run_document())
    assert [line.split()[-1] for line in text_of(where).splitlines()[1:]] == ["Accepted", "AdmitRun"]


def test_plain_lines_tell_each_warning_once() -> None:
    where = console()
    view = PlainView(where, 3600)
    view.show(record(training()))
    for _ in range(2):
        view.learn(series("Basic", warnings=("FlatReturn",)))
    told = [line for line in text_of(where).splitlines() if "WARNING" in line]
    assert [line.split("WARNING ")[1] for line in told] == ["Basic (FlatReturn): It is flat. Remedy: Raise it."]


def test_plain_lines_tell_of_training_as_it_gets_on() -> None:
    where = console()
    show_all(PlainView(where, 0), training(1000), training(1000), training(2000, None))
    told = [line for line in text_of(where).splitlines() if "env steps " in line]
    assert [line.split("env steps ")[1].split(" of")[0] for line in told] == ["1,000", "2,000"]
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
    assert table_of(picture) == {"return": "0.412", "best": "0.412", "env steps/s": "1,204"}
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


def table_of(picture: str, row: int = 1) -> dict[str, str]:
    """The cells of one row of how the behaviors learn, by title."""
    lines = picture.splitlines()
    titles = next(index for index, line in enumerate(lines) if re.match(r"(behavior  )?return  ", line))
    return dict(zip(*(re.split(r"  +", line.strip()) for line in (lines[titles], lines[titles + row])), strict=True))


def curve_of(view: TerminalView, where: Console) -> str:
    with where.capture() as captured:
        where.print(view.render(BEGAN))
    return table_of(captured.get()).get("curve", "")


def test_a_terminal_draws_the_mean_return_as_it_comes() -> None:
    where = console(terminal=True)
    view = TerminalView(where)
    view.show(record(training(1_000, 0.25)))
    assert curve_of(view, where) == "", "one value is no curve"
    for env_steps, mean_return in ((2_000, None), (3_000, 0.5), (3_000, 0.5), (4_000, 0.75)):
        view.show(record(training(env_steps, mean_return)))
    assert curve_of(view, where) == "▁▅█"


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


def drawn_with(told: MetricsSeries, document: dict, width: int = 100) -> str:
    where = console(terminal=True, width=width)
    view = TerminalView(where)
    view.show(record(document))
    view.learn(told)
    with where.capture() as captured:
        where.print(view.render(BEGAN + timedelta(seconds=20)))
    return captured.get()


def test_the_table_has_what_the_series_told_last_and_what_the_record_has_told_since() -> None:
    picture = drawn_with(series("Basic"), training(5_000, 0.3))
    assert table_of(picture) == {
        "behavior": "Basic",
        "return": "0.300",
        "curve": "▁▃▆█",
        "best": "0.300",
        "length": "12.5",
        "env steps/s": "1,204",
        "policy loss": "-0.01234",
    }


def test_the_time_left_goes_by_the_later_half_of_the_series() -> None:
    columns = {"env_steps": (100.0, 1_100.0, 2_100.0, 2_600.0), "wall_time_seconds": (1.0, 2.0, 6.0, 7.0)}
    told = MetricsSeries(RUN_ID, behaviors=(BehaviorSeries("Basic", 4, columns),))
    picture = drawn_with(told, training(2_600, 0.3))
    assert "at most 2:38 left" in picture, "1,500 env steps in 5 s, so that 47,400 take 158 s"


def test_each_of_several_behaviors_has_a_row_of_its_own_series() -> None:
    picture = drawn_with(series("Striker", "Goalie"), training(5_000, 0.3))
    rows = [table_of(picture, row) for row in (1, 2)]
    assert [(row["behavior"], row["return"], row["curve"]) for row in rows] == [
        ("Striker", "0.200", "▁▅█"),
        ("Goalie", "0.200", "▁▅█"),
    ]


def test_a_table_leaves_out_what_matters_least_rather_than_cut_it() -> None:
    kept = [list(table_of(drawn_with(series("Basic"), training(5_000, 0.3), width))) for width in (90, 50, 30)]
    assert kept == [
        ["behavior", "return", "curve", "best", "length", "env steps/s", "policy loss"],
        ["return", "curve", "best", "length", "env steps/s"],
        ["return", "curve", "env steps/s"],
    ]


def test_warnings_are_shown_with_their_remedy_and_not_more_than_there_is_room_for() -> None:
    picture = drawn_with(series("Basic", warnings=("A", "B", "C", "D", "E")), training())
    assert picture.count("! Basic: It is flat. Raise it.") == 3
    assert "! and 2 more warnings" in picture


@pytest.mark.parametrize(
    ("history", "curve"),
    [(series("Basic"), "▁▂▃█"), (UnreachableError("down"), "▁█")],
)
def test_the_curve_begins_before_the_first_look(history: MetricsSeries | UnreachableError, curve: str) -> None:
    where = console(terminal=True, width=120)
    documents = [training(4_000, 0.2), succeeded()]

    def ask(_: str) -> MetricsSeries:
        if isinstance(history, UnreachableError):
            raise history
        return history

    view = TerminalView(where)
    patience = Patience(poll_seconds=0.001)
    watch_run(lambda _: record(documents.pop(0)), RUN_ID, view, patience, ask)
    assert curve_of(view, where) == curve


def test_programs_ask_for_series_themselves() -> None:
    def ask(_: str) -> MetricsSeries:
        raise AssertionError

    watch_run(lambda _: record(succeeded()), RUN_ID, JsonLinesView(console()), history=ask)


def test_series_are_asked_for_when_training_has_got_on_and_not_at_every_look() -> None:
    asked: list[str] = []

    def ask(run_id: str) -> MetricsSeries:
        asked.append(run_id)
        return series("Basic")

    documents = [run_document(), training(1_000), *(training(steps) for steps in range(2_000, 9_000, 1_000))]
    documents += [succeeded()]
    view = TerminalView(console(terminal=True))
    watch_run(lambda _: record(documents.pop(0)), RUN_ID, view, Patience(poll_seconds=0.001), ask)
    assert asked == [RUN_ID] * 2, "with the first progress, and at the end"


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
    columns = {"mean_return": tuple(number / 7 for number in range(500))}
    view.learn(MetricsSeries(RUN_ID, behaviors=(BehaviorSeries("Basic", 500, columns),)))
    assert 6 <= len(curve_of(view, where)) <= 40


LIMITED = {
    "options": {"stop": {"env_steps": 50_000, "mean_return": 0.93, "wall_time_seconds": 100, "budget_usd": 0.02}},
    "training_job": {"name": "t", "started_at": at(2)},
    "estimate": {
        "training": {
            "instance_type": "ml.c7i.large",
            "instance_count": 2,
            "spot": True,
            "max_seconds": 3600,
            "usd_per_hour": 1.0,
            "max_usd": 2.0,
        },
        "evaluation": {
            "instance_type": "ml.c7i.large",
            "instance_count": 1,
            "spot": False,
            "max_seconds": 3600,
            "usd_per_hour": 1.0,
            "max_usd": 1.0,
        },
        "max_usd": 3.0,
        "prices": "of today",
    },
}


def test_each_limit_has_a_bar_and_the_first_to_be_reached_tells_the_time_left() -> None:
    picture = drawn({**training(), **LIMITED}, seconds=20, width=100)
    rows = {line.split("  ")[0].split(" ━")[0].strip(): line for line in picture.splitlines()}
    assert rows["env steps"].rstrip().endswith("10,240 of 50,000")
    assert rows["time"].rstrip().endswith("18.0 s of 1:40")
    assert rows["budget"].rstrip().endswith("0.0100 USD of 0.0200 USD")
    assert rows["target"].rstrip().endswith("0.412 of 0.930")
    assert "at most 18.0 s left" in picture, "the budget is half spent after 18 s"
    assert "cost about 0.0100 USD of at most 3.00 USD" in picture


def lines_on_a_terminal(document: dict, height: int, width: int = 80) -> list[str]:
    """What a view in use draws, which cannot scroll."""
    where = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=None,
        _environ={"TERM": "xterm"},
    )
    view = TerminalView(where)
    view.show(record(document))
    view.trouble(UnreachableError("refused"))
    with where.capture() as captured:
        where.print(view.live_picture())
    return captured.get().splitlines()


def test_on_a_low_terminal_the_steps_are_one_line_and_nothing_below_is_lost() -> None:
    document = {**training(), **LIMITED}
    high, low = lines_on_a_terminal(document, 30), lines_on_a_terminal(document, 12)
    assert "✓ Admit the run" in "\n".join(high)
    assert len(low) <= 12
    assert low[1].startswith("✓ ✓ ▸ · · · · · ·  Train ")
    assert low[-1].startswith("no answer for ")


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


def test_a_log_with_colors_is_no_terminal() -> None:
    assert isinstance(view_for(console(terminal=True), redraws=False), PlainView)
