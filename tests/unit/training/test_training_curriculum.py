"""Environment parameters: when a lesson ends, what the scenes are told then, and what of a trainer file is refused."""

import json
from typing import Any

import pytest

from rl_src.envs.side_channels import Gaussian, MultiRangeUniform, Uniform
from rl_src.training.errors import InvalidCheckpointError, InvalidTrainingConfigError
from rl_src.training.settings.curriculum import CompletionCriteria, Curriculum, Lesson
from rl_src.training.settings.curriculum_form import read_parameters


def wall(*criteria: CompletionCriteria) -> Curriculum:
    """Lessons of 0, 1, 2, ... with these ends, and a last one."""
    lessons = [Lesson(f"lesson {index}", float(index), item) for index, item in enumerate(criteria)]
    return Curriculum({"wall": (*lessons, Lesson("last", float(len(criteria))))})


def by_return(threshold: float, **settings: Any) -> CompletionCriteria:
    return CompletionCriteria("Jumper", "reward", threshold=threshold, **{"signal_smoothing": False, **settings})


def by_progress(threshold: float, **settings: Any) -> CompletionCriteria:
    return CompletionCriteria("Jumper", "progress", threshold=threshold, **settings)


def test_constants_and_samplers_are_told_as_they_are_and_never_change():
    curriculum = Curriculum({"gravity": 9.81, "scale": Uniform(0.5, 2.0)})
    assert not curriculum.observe("Jumper", 1.0, [100.0] * 100)
    assert curriculum.values == {"gravity": 9.81, "scale": Uniform(0.5, 2.0)}
    assert curriculum.lesson_numbers == {}


def test_a_lesson_ends_when_the_mean_return_exceeds_its_threshold():
    curriculum = wall(by_return(0.5, min_lesson_length=4))
    assert not curriculum.observe("Jumper", 0.0, [0.5, 0.5, 0.5, 0.5])  # reached, not exceeded
    change = curriculum.observe("Jumper", 0.0, [0.6])
    assert (change.changed, change.require_reset) == (("wall",), False)
    assert curriculum.values == {"wall": 1.0}
    assert (curriculum.lesson_numbers, curriculum.lesson_names) == ({"wall": 1}, {"wall": "last"})


def test_a_lesson_has_its_least_length_in_episodes():
    curriculum = wall(by_return(0.5, min_lesson_length=3))
    assert not curriculum.observe("Jumper", 0.0, [9.0, 9.0])
    assert curriculum.observe("Jumper", 0.0, [9.0])


def test_the_mean_is_of_the_last_episodes_only():
    curriculum = wall(by_return(0.5, min_lesson_length=2))
    assert not curriculum.observe("Jumper", 0.0, [-1000.0, 0.0])
    assert curriculum.observe("Jumper", 0.0, [1.0, 1.0])


def test_what_was_played_before_the_scenes_were_told_counts_for_no_later_lesson():
    curriculum = wall(by_return(0.5, min_lesson_length=2), by_return(0.5, min_lesson_length=2))
    assert curriculum.observe("Jumper", 0.0, [1.0] * 50)
    assert curriculum.values == {"wall": 1.0}
    assert not curriculum.observe("Jumper", 0.0, [])
    assert not curriculum.observe("Jumper", 0.0, [1.0])
    assert curriculum.observe("Jumper", 0.0, [1.0])
    assert curriculum.values == {"wall": 2.0}


def test_the_last_lesson_never_ends():
    curriculum = wall(by_return(0.0))
    curriculum.observe("Jumper", 0.0, [1.0])
    assert not curriculum.observe("Jumper", 1.0, [1.0] * 100)
    assert curriculum.values == {"wall": 1.0}


def test_smoothing_carries_a_quarter_of_the_value_before():
    # 0.75, then 0.25 * 0.75 + 0.75 = 0.9375, then 0.984375
    curriculum = wall(by_return(0.95, signal_smoothing=True))
    assert not curriculum.observe("Jumper", 0.0, [1.0])
    assert not curriculum.observe("Jumper", 0.0, [1.0])
    assert curriculum.observe("Jumper", 0.0, [1.0])


def test_asking_without_new_episodes_changes_no_smoothed_value():
    curriculum = wall(by_return(0.95, signal_smoothing=True))
    for _ in range(10):
        assert not curriculum.observe("Jumper", 0.0, [])
    curriculum.observe("Jumper", 0.0, [1.0])
    for _ in range(10):
        assert not curriculum.observe("Jumper", 0.0, [])


def test_a_lesson_ends_when_progress_exceeds_its_threshold():
    curriculum = wall(by_progress(0.25), by_progress(0.5, min_lesson_length=1))
    assert not curriculum.observe("Jumper", 0.25, [])
    assert curriculum.observe("Jumper", 0.26, [])
    assert not curriculum.observe("Jumper", 0.6, [])
    assert curriculum.observe("Jumper", 0.6, [0.0])
    assert curriculum.behaviors_that_need_a_limit == {"Jumper"}


def test_without_a_limit_there_is_no_progress():
    assert not wall(by_progress(0.0)).observe("Jumper", None, [1.0])


def test_only_the_behavior_that_is_named_counts():
    curriculum = wall(by_return(0.0))
    assert not curriculum.observe("Goalie", 1.0, [100.0])
    assert curriculum.values == {"wall": 0.0}
    assert curriculum.behaviors == {"Jumper"}


def test_a_reset_is_asked_for_when_any_ended_lesson_wants_it():
    ends = {"calm": by_return(0.0), "hard": by_return(0.0, require_reset=True)}
    curriculum = Curriculum({name: (Lesson("a", 0.0, end), Lesson("b", 1.0)) for name, end in ends.items()})
    change = curriculum.observe("Jumper", 0.0, [1.0])
    assert set(change.changed) == {"calm", "hard"}
    assert change.require_reset


def test_a_new_lesson_forgets_the_returns_of_all_behaviors():
    other = CompletionCriteria("Goalie", "reward", min_lesson_length=2, signal_smoothing=False)
    curriculum = Curriculum(
        {
            "wall": (Lesson("a", 0.0, by_return(0.0)), Lesson("b", 1.0)),
            "goal": (Lesson("a", 0.0, other), Lesson("b", 1.0)),
        }
    )
    assert not curriculum.observe("Goalie", 0.0, [1.0])
    assert curriculum.observe("Jumper", 0.0, [1.0])
    assert not curriculum.observe("Goalie", 0.0, [1.0])
    assert curriculum.observe("Goalie", 0.0, [1.0])


def test_a_resumed_curriculum_goes_on_where_it_was():
    def fresh() -> Curriculum:
        return wall(by_return(0.0), by_return(0.9, signal_smoothing=True, min_lesson_length=3))

    whole, first = fresh(), fresh()
    for curriculum in (whole, first):
        curriculum.observe("Jumper", 0.1, [1.0])
        curriculum.observe("Jumper", 0.2, [0.8, 1.0])
    resumed = fresh()
    resumed.set_state(json.loads(json.dumps(first.state())))
    assert resumed.values == whole.values == {"wall": 1.0}
    for value in (1.0, 1.0, 1.0, 1.0):
        assert bool(resumed.observe("Jumper", 0.3, [value])) == bool(whole.observe("Jumper", 0.3, [value]))
        assert resumed.state() == whole.state()
    assert resumed.values == {"wall": 2.0}


def test_a_state_of_other_lessons_is_refused():
    first = wall(by_return(0.0))
    first.observe("Jumper", 0.0, [1.0])
    with pytest.raises(InvalidCheckpointError, match="wall was in lesson 1"):
        wall(by_return(0.0), by_return(0.0)).set_state(first.state())


def test_parameters_that_were_added_or_removed_do_not_hinder_a_resume():
    curriculum = Curriculum({"new": 1.0})
    curriculum.set_state(wall(by_return(0.0)).state())
    assert curriculum.values == {"new": 1.0}


FORM: dict[str, Any] = {
    "gravity": 9.81,
    "mass": {"sampler_type": "uniform", "sampler_parameters": {"min_value": 0.5, "max_value": 10}},
    "scale": {"sampler_type": "gaussian", "sampler_parameters": {"mean": 2, "st_dev": 0.3}},
    "angle": {"sampler_type": "multirangeuniform", "sampler_parameters": {"intervals": [[7, 10], [15, 20]]}},
    "fixed": {"sampler_type": "constant", "sampler_parameters": {"value": 3}},
    "wall": {
        "curriculum": [
            {
                "name": "no wall",
                "completion_criteria": {
                    "measure": "progress",
                    "behavior": "BigWallJump",
                    "signal_smoothing": True,
                    "min_lesson_length": 100,
                    "threshold": 0.1,
                },
                "value": {"sampler_type": "uniform", "sampler_parameters": {"max_value": 4.0}},
            },
            {"name": "high wall", "value": 8},
        ]
    },
}


def test_a_trainer_file_is_read():
    parameters = read_parameters(FORM)
    assert parameters["gravity"] == 9.81
    assert parameters["mass"] == Uniform(0.5, 10.0)
    assert parameters["scale"] == Gaussian(2.0, 0.3)
    assert parameters["angle"] == MultiRangeUniform(((7.0, 10.0), (15.0, 20.0)))
    assert parameters["fixed"] == 3.0
    criteria = CompletionCriteria("BigWallJump", "progress", 100, True, 0.1)
    assert parameters["wall"] == (Lesson("no wall", Uniform(0.0, 4.0), criteria), Lesson("high wall", 8.0))
    assert isinstance(parameters["fixed"], float)


def test_what_is_passed_over_is_noted():
    notes: list[str] = []
    lesson = {"name": "only", "value": 1.0, "completion_criteria": {"behavior": "A"}}
    seeded = {"sampler_type": "uniform", "sampler_parameters": {"seed": 3}}
    read_parameters({"a": {"curriculum": [lesson]}, "b": seeded}, note=notes.append)
    assert [note.split(":")[0].split(" ")[0] for note in notes] == [
        "environment_parameters.a",
        "environment_parameters.b.sampler_parameters.seed",
    ]


def lesson(**changes: Any) -> dict[str, Any]:
    criteria = {"behavior": "A", **changes}
    return {
        "a": {"curriculum": [{"name": "x", "value": 1, "completion_criteria": criteria}, {"name": "y", "value": 2}]}
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a": "high"}, "a must be a finite number, not 'high'"),
        ({"a": True}, "a must be a finite number"),
        ({"a": float("nan")}, "a must be a finite number"),
        ({"a": {"sampler_type": "unifrom", "sampler_parameters": {}}}, "sampler_type is 'unifrom'; known: uniform"),
        ({"a": {"sampler_type": "uniform"}}, "sampler_parameters must be an object"),
        (
            {"a": {"sampler_type": "uniform", "sampler_parameters": {"min": 0}}},
            "sampler_parameters.min; known: min_value, max_value",
        ),
        ({"a": {"sampler_type": "uniform", "sampler_parameters": {"min_value": 2}}}, "above max_value"),
        ({"a": {"sampler_type": "gaussian", "sampler_parameters": {"st_dev": -1}}}, "negative"),
        ({"a": {"sampler_type": "multirangeuniform", "sampler_parameters": {"intervals": [[1]]}}}, "not \\[low, high"),
        ({"a": {"sampler_type": "multirangeuniform", "sampler_parameters": {"intervals": [[2, 1]]}}}, "2.0 is above"),
        ({"a": {"sampler_type": "multirangeuniform", "sampler_parameters": {"intervals": []}}}, "must be a list"),
        ({"a": {"curriculum": []}}, "at least one lesson"),
        ({"a": {"curriculum": [{"name": "x"}]}}, "has no value"),
        ({"a": {"curriculum": [{"name": "x", "value": 1}, {"name": "y", "value": 2}]}}, "has no completion_criteria"),
        (lesson(treshold=1), "treshold; known: .* Did you mean 'threshold'"),
        (lesson(measure="return"), "measure is 'return'; known: progress, reward"),
        (lesson(measure="progress", threshold=1.5), "between 0 and 1"),
        (lesson(min_lesson_length=1.5), "min_lesson_length must be a count"),
        (lesson(require_reset="yes"), "require_reset must be true or false"),
        (lesson(behavior=None), "names a behavior"),
    ],
)
def test_what_cannot_be_is_refused_by_name(document, message):
    with pytest.raises(InvalidTrainingConfigError, match=message):
        read_parameters(document)
