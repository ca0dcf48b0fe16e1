import io
import re
from datetime import timedelta

import pytest
from rich.console import Console

from gamedojo.errors import UnreachableError
from gamedojo.following import Patience
from gamedojo.models import BehaviorSeries, MetricsSeries, Run
from gamedojo.views import JsonLinesView, PlainView, TerminalView, picture_of, view_for, watch_run
from tests.fakes.run_documents import BEGAN, RUN_ID, at, failed, run_document, succeeded, training
from tests.fakes.shown_runs import console, record, series, show_all, text_of


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
