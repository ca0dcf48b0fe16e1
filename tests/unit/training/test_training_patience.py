"""Patience: a mean return that holds, and one that rises no more."""

import json

import pytest

from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.progress.patience import PatienceRule, PatienceSettings


def reasons(rule: PatienceRule, values: list[float | None], start: int = 0) -> list[str | None]:
    return [rule.observe(value, 100 * (start + index)) for index, value in enumerate(values, 1)]


def test_the_threshold_must_hold_in_a_row():
    rule = PatienceRule(PatienceSettings(mean_return=0.9, patience=3))
    assert reasons(rule, [0.9, 0.95, 0.8, 0.9, 0.9, 1.0]) == [None, None, None, None, None, "mean_return"]


def test_without_patience_the_first_time_is_enough():
    assert reasons(PatienceRule(PatienceSettings(mean_return=0.9)), [0.89, 0.9]) == [None, "mean_return"]


def test_an_iteration_that_cannot_be_judged_breaks_the_row():
    rule = PatienceRule(PatienceSettings(mean_return=0.9, patience=2))
    assert reasons(rule, [1.0, None, 1.0, float("nan"), 1.0, 1.0]) == [None] * 5 + ["mean_return"]


def test_training_ends_when_the_best_is_too_old():
    rule = PatienceRule(PatienceSettings(no_improvement_env_steps=300))
    assert reasons(rule, [1.0, 2.0, 1.5, 2.0, 1.9, 0.0]) == [None, None, None, None, "no_improvement", "no_improvement"]


def test_every_new_best_gives_the_whole_time_again():
    rule = PatienceRule(PatienceSettings(no_improvement_env_steps=300))
    assert set(reasons(rule, [float(value) / 2 for value in range(50)])) == {None}


def test_an_improvement_too_small_to_matter_is_none():
    rule = PatienceRule(PatienceSettings(no_improvement_env_steps=300, min_improvement=0.1))
    assert reasons(rule, [1.0, 1.05, 1.09, 1.1]) == [None, None, None, "no_improvement"]


def test_the_time_counts_from_the_first_that_could_be_judged():
    rule = PatienceRule(PatienceSettings(no_improvement_env_steps=300))
    assert reasons(rule, [None] * 10 + [1.0, 0.9]) == [None] * 12


def test_what_was_reached_comes_before_what_was_not():
    rule = PatienceRule(PatienceSettings(mean_return=1.0, patience=4, no_improvement_env_steps=300))
    assert reasons(rule, [1.0, 1.0, 1.0, 1.0])[-1] == "mean_return"


def test_without_settings_nothing_ends():
    assert set(reasons(PatienceRule(PatienceSettings()), [5.0] * 100)) == {None}


@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_a_resumed_rule_goes_on_where_it_was(done):
    settings = PatienceSettings(mean_return=2.0, patience=2, no_improvement_env_steps=400)
    values: list[float | None] = [None, 1.0, 2.0, 1.5, 1.0, 1.2, 1.9, 2.0, 2.0]
    whole = reasons(PatienceRule(settings), values)
    first, second = PatienceRule(settings), PatienceRule(settings)
    before = reasons(first, values[:done])
    second.set_state(json.loads(json.dumps(first.state())))
    assert before + reasons(second, values[done:], done) == whole
    assert {"no_improvement", "mean_return"} <= set(whole)


@pytest.mark.parametrize(
    ("name", "value"), [("patience", 0), ("no_improvement_env_steps", 0), ("min_improvement", -0.1)]
)
def test_settings_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(InvalidTrainingConfigError, match=f"stop.{name}"):
        PatienceSettings(**{name: value})
