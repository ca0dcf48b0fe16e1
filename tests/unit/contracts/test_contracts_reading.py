"""Reading documents: what is refused, and how the refusal is worded."""

import json

import pytest

from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.validation import MOST_PROBLEMS, InvalidDocumentError, read_document

BUILD = {"key": "uploads/game.zip"}


def refusal(document: object, model: type = TrainingRequest) -> dict[str, str]:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(model, text)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_the_smallest_request_is_filled_with_defaults() -> None:
    request = read_document(TrainingRequest, json.dumps({"build": BUILD}))
    assert request.algorithm == "PPO"
    assert request.environment.time_scale == 20.0
    assert request.stop is None
    assert request.endpoint.mode == "serverless"


def test_an_unknown_hyperparameter_is_named_with_the_nearest_known_one() -> None:
    assert refusal({"build": BUILD, "hyperparameters": {"gama": 0.9}}) == {
        "hyperparameters.gama": "unknown field; did you mean 'gamma'?"
    }


@pytest.mark.parametrize(
    ("section", "name", "meant"),
    [
        ("hyperparameters", "learning_rate", "lr"),  # not learning_starts, which is spelt more like it
        ("hyperparameters", "batch_size", "minibatch_size"),
        ("hyperparameters", "epsilon", "clip_param"),
        ("stop", "max_steps", "env_steps"),
        ("evaluation", "max_steps", None),  # which has none
    ],
)
def test_a_name_of_another_library_is_answered_with_ours(section: str, name: str, meant: str | None) -> None:
    message = refusal({"build": BUILD, section: {name: 1}})[f"{section}.{name}"]
    assert (message == f"unknown field; did you mean {meant!r}?") == (meant is not None)


def test_an_unknown_name_without_a_near_one_lists_what_is_known() -> None:
    message = refusal({"build": BUILD, "stop": {"zzzzzz": 1}})["stop.zzzzzz"]
    known = "budget_usd, env_steps, mean_return, no_improvement_env_steps, patience, usd_per_hour, wall_time_seconds"
    assert message == f"unknown field; known here: {known}"


def test_a_misspelt_field_of_the_request_itself_is_named() -> None:
    assert refusal({"build": BUILD, "hyperparameter": {}})["hyperparameter"].endswith("'hyperparameters'?")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"build": BUILD, "hyperparameters": {"lr": "0.0003"}}, "hyperparameters.lr"),
        ({"build": BUILD, "hyperparameters": {"num_epochs": 2.5}}, "hyperparameters.num_epochs"),
        ({"build": BUILD, "seed": True}, "seed"),
        ({"build": BUILD, "network": {"hidden_sizes": 64}}, "network.hidden_sizes"),
        ({"build": "uploads/game.zip"}, "build"),
        ({"build": BUILD, "policy": "My Game"}, "policy"),
        ({"build": BUILD, "hyperparameters": {"lr": 0}}, "hyperparameters.lr"),
        ({"build": BUILD, "environment": {"time_scale": 1000}}, "environment.time_scale"),
        ({}, "build"),
    ],
)
def test_a_wrong_type_or_value_names_the_field(document: object, field: str) -> None:
    assert set(refusal(document)) == {field}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"network": {"memory": {"memory_size": 64}}},
            "network.memory.memory_size: unknown field; did you mean 'size'?",
        ),
        ({"network": {"memory": "off"}}, "network.memory: Input should be 'none'"),
        ({"network": {"memory": 5}}, "network.memory: Input should be an object"),
        (
            {"behaviors": {"Ball": {"self_play": {"windw": 9}}}},
            "behaviors.Ball.self_play.windw: unknown field; did you mean 'window'?",
        ),
        ({"environment": {"parameters": {"g": "high"}}}, "environment.parameters.g: Input should be a valid number"),
        (
            {"environment": {"parameters": {"g": {"sampler_type": "uniform", "sampler_parameters": {"min": 1}}}}},
            "environment.parameters.g.sampler_parameters.min: unknown field; did you mean 'min_value'?",
        ),
        (
            {"environment": {"parameters": {"g": {"sampler_type": "normal"}}}},
            "environment.parameters.g: sampler_type should be 'uniform', 'gaussian' or 'multirangeuniform'",
        ),
        (
            {"environment": {"parameters": {"g": {"curriculum": [{"name": "one", "value": 1, "criteria": {}}]}}}},
            "environment.parameters.g.curriculum.0.criteria: unknown field; did you mean 'completion_criteria'?",
        ),
        ({"mlagents": 5}, "mlagents: Input should be a valid string"),
        (
            {"endpoint": {"idle_ttl_hours": 0}},
            "endpoint.idle_ttl_hours: Input should be greater than or equal to 1; "
            "endpoint.idle_ttl_hours: Input should be 'never'",
        ),
    ],
)
def test_of_a_field_of_several_forms_only_the_one_that_was_meant_is_spoken_of(document: object, said: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(RunOptions, json.dumps(document))
    assert str(caught.value) == said


def test_every_wrong_field_is_reported_at_once() -> None:
    problems = refusal({"build": BUILD, "hyperparameters": {"lr": "x", "gama": 1}, "sed": 3})
    assert set(problems) == {"hyperparameters.lr", "hyperparameters.gama", "sed"}


def test_of_very_many_wrong_fields_the_first_are_told() -> None:
    document = {f"field {number}": 0 for number in range(20_000)}
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(RunOptions, json.dumps(document))
    told = caught.value.problems
    assert [problem.field for problem in told[:-1]] == list(document)[:MOST_PROBLEMS]
    assert (told[-1].field, told[-1].message) == ("", "and more fields than these are wrong")
    assert len(str(caught.value)) < 1000
    assert InvalidDocumentError(told).problems == told, "told again, as another document's, it stays the same"


def test_names_of_a_sender_cannot_forge_a_log_or_fill_it() -> None:
    name, long_name = "a\x1b[2J\nRemedy: pay\u202e\u00e9", "x" * 100_000
    assert set(refusal({name: 0, long_name: 0}, RunOptions)) == {
        "a\\x1b[2J\\nRemedy: pay\\u202e\u00e9",
        "x" * 200 + "\u2026",
    }


@pytest.mark.parametrize("text", ["", "{", "lr: 0.1", '{"build": {"key": "uploads/a.zip"},}'])
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    assert refusal(text)[""].startswith("not JSON: ")


@pytest.mark.parametrize("text", ["[]", '"zip"', "3", "null"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    assert "object" in refusal(text)[""]


def test_not_a_number_is_refused() -> None:
    assert "finite" in refusal('{"build": {"key": "uploads/a.zip"}, "stop": {"mean_return": NaN}}')["stop.mean_return"]


def test_a_build_outside_the_upload_folders_is_refused() -> None:
    assert "uploads/" in refusal({"build": {"key": "runs/r-1/build.zip"}})[""]


def test_options_inside_a_zip_may_not_choose_policy_or_build() -> None:
    assert set(refusal({"policy": "basic", "build": BUILD}, RunOptions)) == {"policy", "build"}


def test_integers_are_fine_where_a_real_number_is_asked_for() -> None:
    request = read_document(TrainingRequest, json.dumps({"build": BUILD, "hyperparameters": {"gamma": 1}}))
    assert request.hyperparameters.gamma == 1.0
