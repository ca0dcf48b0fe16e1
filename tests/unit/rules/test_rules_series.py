"""Of any number of progress lines as many as a plot shows: first and last kept, evenly chosen, in bounded memory."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules.series import Series


def line(iteration: int, behavior: str = "Ball", **more) -> str:
    return json.dumps({"behavior": behavior, "iteration": iteration, "env_steps": 100 * iteration, **more})


def series(lines, points: int = 10) -> Series:
    made = Series(points)
    for one in lines:
        made.add_text(one)
    return made


@given(st.integers(1, 400), st.integers(2, 20))
def test_as_many_as_wanted_from_the_first_to_the_last_in_order(count, points):
    (found,) = series((line(number) for number in range(1, count + 1)), points).columns()
    chosen = found.columns["iteration"]
    assert found.iterations == count
    assert len(chosen) == min(count, points)
    assert (chosen[0], chosen[-1]) == (1, count)
    assert list(chosen) == sorted(set(chosen))
    assert found.columns["env_steps"] == tuple(100 * number for number in chosen)


@given(st.integers(50, 2000), st.integers(5, 20))
def test_gaps_are_about_even(count, points):
    (found,) = series((line(number) for number in range(count)), points).columns()
    chosen = found.columns["iteration"]
    gaps = [later - earlier for earlier, later in pairwise(chosen)]
    assert max(gaps) <= 3 * count / (points - 1)


def test_a_million_lines_are_never_kept():
    made = Series(100)
    most = 0
    for number in range(50_000):
        made.add_text(line(number))
        most = max(most, len(made._behaviors["Ball"].lines))
    assert most <= 201


def test_behaviors_are_apart_and_what_a_behavior_never_tells_it_has_not():
    made = series([line(1), line(1, "Goalie", elo=1200.5), line(2, mean_return=None), line(2, "Goalie")])
    ball, goalie = made.columns()
    assert (ball.behavior, goalie.behavior) == ("Ball", "Goalie")
    assert goalie.columns["elo"] == (1200.5, None)
    assert "elo" not in ball.columns
    assert "mean_return" not in ball.columns


def warning(code: str, cause: str = "seen") -> dict:
    return {"code": code, "cause": cause, "remedy": "do"}


def test_a_warning_is_told_once_with_its_last_words_whichever_lines_are_chosen():
    told = {7: [warning("FlatReturn", "at first")], 50: [warning("LargeKl"), warning("FlatReturn", "at last")]}
    lines = (line(number, **({"warnings": told[number]} if number in told else {})) for number in range(1, 101))
    (found,) = series(lines, points=2).columns(metrics=["env_steps"])
    assert [(one.behavior, one.code, one.cause) for one in found.warnings] == [
        ("Ball", "FlatReturn", "at last"),
        ("Ball", "LargeKl", "seen"),
    ]


@pytest.mark.parametrize("told", ["x", {}, [1], [{"code": "A"}], [{"code": "A", "cause": 1, "remedy": "r"}], None])
def test_what_only_looks_like_a_warning_is_none(told):
    (found,) = series([line(1, warnings=told)]).columns()
    assert found.warnings == ()


def test_warnings_are_bounded():
    (found,) = series([line(1, warnings=[warning(f"Code{number}", "x" * 9999) for number in range(99)])]).columns()
    assert len(found.warnings) == 16
    assert len(found.warnings[0].cause) == 500


def test_what_comes_again_from_a_second_source_counts_once():
    (found,) = series([line(1), line(2), line(3), line(2), line(3), line(4)]).columns()
    assert found.columns["iteration"] == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Starting",
        "{",
        "{not json}",
        "[1]",
        '{"behavior": 1, "iteration": 1}',
        '{"behavior": "B"}',
        b"\xff",
        "{" * 9999,
    ],
)
def test_other_lines_of_a_log_are_passed_over(text):
    (found,) = series([line(1), text, line(2)]).columns()
    assert found.columns["iteration"] == (1, 2)


def test_only_finite_numbers_are_told():
    text = (
        '{"behavior": "B", "iteration": 1, "kl": NaN, "lr": 0.5, "done": true, "limited_by": "builds", "lessons": {}}'
    )
    (found,) = series([text]).columns()
    assert found.columns == {"iteration": (1,), "lr": (0.5,)}


def test_a_choice_of_metrics_keeps_its_order():
    made = series([line(1, entropy=0.5)])
    assert list(made.columns("Ball", ["entropy", "env_steps"])[0].columns) == ["entropy", "env_steps"]


@pytest.mark.parametrize(("behavior", "metrics", "field"), [("Bal", None, "behavior"), (None, ["entropi"], "metrics")])
def test_an_unknown_name_is_refused_with_those_that_are_known(behavior, metrics, field):
    with pytest.raises(InvalidDocumentError) as caught:
        series([line(1, entropy=0.5)]).columns(behavior, metrics)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert "known here: " in problem.message


def test_of_a_training_that_has_told_nothing_nothing_is_asked_in_vain():
    assert Series(10).columns("Ball", ["entropy"]) == ()
