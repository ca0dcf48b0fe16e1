import json

from gamedojo.errors import UnreachableError
from gamedojo.models import MetricsSeries
from gamedojo.texts import outcome_text
from gamedojo.views import JsonLinesView, PlainView, view_for, watch_run
from tests.fakes.run_documents import CHAIN, RUN_ID, at, failed, run_document, succeeded, training
from tests.fakes.shown_runs import console, record, series, show_all, text_of


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


def test_programs_ask_for_series_themselves() -> None:
    def ask(_: str) -> MetricsSeries:
        raise AssertionError

    watch_run(lambda _: record(succeeded()), RUN_ID, JsonLinesView(console()), history=ask)


def test_a_log_with_colors_is_no_terminal() -> None:
    assert isinstance(view_for(console(terminal=True), redraws=False), PlainView)
