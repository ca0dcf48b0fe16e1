"""A request's own fields over those of an ML-Agents trainer file."""

import json
from typing import Any

import pytest

from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.errors import InvalidRequestError
from pipeline.rules.run_options import as_asked, read_request, settle, settle_with_build
from tests.fakes.inspected_builds import manifest

ONE = "behaviors:\n  Ball:\n    max_steps: 1000\n    summary_freq: 10\n    network_settings: {hidden_units: 32}\n"
TWO = {"behaviors": {"A": {"max_steps": 1}, "B": {"self_play": {"window": 5}}}}


def asked(**fields: Any) -> RunOptions:
    return read_request(RunOptions, json.dumps(fields))


def test_without_a_trainer_file_the_request_is_taken_as_it_is():
    request = asked(seed=3, network={"activation": "relu"})
    assert settle(request) == (request, ())


def test_a_trainer_file_as_text_or_object():
    text, notes = settle(asked(mlagents=ONE))
    document = {
        "behaviors": {"Ball": {"max_steps": 1000, "summary_freq": 10, "network_settings": {"hidden_units": 32}}}
    }
    assert settle(asked(mlagents=document)) == (text, notes)
    assert text.network.hidden_sizes == (32, 32)
    assert text.mlagents is None
    assert [note.setting for note in notes] == ["behaviors.Ball.summary_freq"]


def test_what_the_request_sets_wins_name_by_name():
    options, _ = settle(asked(mlagents=ONE, hyperparameters={"lr": 0.01}, network={"activation": "relu"}, seed=9))
    assert (options.hyperparameters.lr, options.hyperparameters.gamma) == (0.01, 0.99)
    assert (options.network.activation, options.network.hidden_sizes) == ("relu", (32, 32))
    assert options.seed == 9


def test_a_stop_rule_of_the_request_replaces_the_files_whole():
    options, _ = settle(asked(mlagents=ONE, stop={"mean_return": 5.0}))
    assert options.stop is not None
    assert (options.stop.mean_return, options.stop.env_steps) == (5.0, None)


def test_what_the_request_sets_to_null_is_taken_out():
    document = {"behaviors": {"Ball": {"reward_signals": {"extrinsic": {}, "rnd": {}}}}}
    assert settle(asked(mlagents=document))[0].curiosity is not None
    assert settle(asked(mlagents=document, curiosity=None))[0].curiosity is None


def test_what_the_request_sets_for_all_wins_over_the_files_of_each_behavior():
    options, _ = settle(
        asked(mlagents=TWO, hyperparameters={"lr": 0.01}, behaviors={"B": {"network": {"activation": "relu"}}})
    )
    assert {name: own.hyperparameters.lr for name, own in options.behaviors.items()} == {"A": 0.01, "B": 0.01}
    assert {name: own.network.activation for name, own in options.behaviors.items()} == {"A": "silu", "B": "relu"}
    self_play = options.behaviors["B"].self_play
    assert self_play is not None
    assert self_play.window == 5


def test_environment_parameters_are_laid_over_one_another_by_name():
    document = {"behaviors": {"Ball": {}}, "environment_parameters": {"gravity": 9, "mass": 2}}
    options, _ = settle(asked(mlagents=document, environment={"parameters": {"mass": 3}, "num_builds": 2}))
    assert options.environment.parameters == {"gravity": 9.0, "mass": 3.0}
    assert options.environment.num_builds == 2


def test_what_is_stored_still_knows_what_the_request_set():
    request = read_request(TrainingRequest, json.dumps({"build": {"key": "uploads/a.zip"}, "mlagents": ONE, "seed": 0}))
    again = TrainingRequest.model_validate_json(as_asked(request))
    assert again == request
    assert settle(again) == settle(request)
    assert type(settle(again)[0]) is RunOptions
    assert json.loads(as_asked(request)) == {"build": {"key": "uploads/a.zip"}, "mlagents": ONE, "seed": 0}


@pytest.mark.parametrize(
    ("mlagents", "field", "said"),
    [
        ("behaviors: [", "mlagents", "not YAML"),
        ("a", "mlagents", "no settings"),
        ("", "mlagents", "no settings"),
        ("{behaviors: {Ball: {max_step: 1}}}", "mlagents.behaviors.Ball.max_step", "max_steps"),
        ({"behaviors": {"Ball": {"trainer_type": "mine"}}}, "mlagents.behaviors.Ball.trainer_type", "of your own"),
    ],
)
def test_a_trainer_file_that_cannot_be_taken_over_is_refused_by_its_path_in_the_request(mlagents, field, said):
    with pytest.raises(InvalidDocumentError) as caught:
        asked(mlagents=mlagents)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert said in problem.message


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"behaviors": {f"B{number}": {} for number in range(80)}}, "behaviors"),
        (
            {"behaviors": {"A": {}}, "environment_parameters": dict.fromkeys(map(str, range(90)), 1)},
            "environment.parameters",
        ),
    ],
)
def test_more_than_a_training_job_can_be_told_is_refused(document, field):
    with pytest.raises(InvalidDocumentError, match="SageMaker takes 100 hyperparameters") as caught:
        asked(mlagents=document)
    assert [problem.field for problem in caught.value.problems] == [field]
    with pytest.raises(InvalidRequestError, match=r"ball\.yaml in the zip: .*SageMaker takes 100"):
        settle_with_build(asked(), manifest(document))


def test_twenty_behaviors_can_be_told():
    options, _ = settle(asked(mlagents={"behaviors": {f"B{number}": {} for number in range(20)}}))
    assert len(options.behaviors) == 20


def test_names_of_sagemaker_rl():
    options = asked(hyperparameters={"rl.training.config.lr": 0.5, "rl.training.stop.timesteps_total": 7})
    assert options.hyperparameters.lr == 0.5
    assert options.stop is not None
    assert options.stop.env_steps == 7
    with pytest.raises(InvalidDocumentError, match=r"did you mean 'config\.lr'"):
        asked(hyperparameters={"rl.training.config.lrr": 0.5})


@pytest.mark.parametrize("text", ["rl.training.", '["rl.training.x"]', b"\xff rl.training."])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidDocumentError):
        read_request(RunOptions, text)


def test_the_zips_trainer_file_serves_a_request_without_one():
    options, notes = settle_with_build(asked(seed=4), manifest({"behaviors": {"Ball": {"max_steps": 5}}}))
    assert options.stop is not None
    assert (options.stop.env_steps, options.seed) == (5, 4)
    assert [note.setting for note in notes] == ["ball.yaml"]


def test_the_requests_own_trainer_file_wins_over_the_zips():
    options, notes = settle_with_build(asked(mlagents=ONE), manifest({"behaviors": {"Ball": {"max_steps": 5}}}))
    assert options.stop is not None
    assert options.stop.env_steps == 1000
    assert [note.setting for note in notes] == ["behaviors.Ball.summary_freq"]


def test_a_zips_trainer_file_that_cannot_be_taken_over_is_named():
    with pytest.raises(InvalidRequestError, match=r"ball\.yaml in the zip: behaviors\.Ball\.max_step: unknown setting"):
        settle_with_build(asked(), manifest({"behaviors": {"Ball": {"max_step": 5}}}))


@pytest.mark.parametrize(
    ("demo", "recordings", "found"),
    [
        ("Expert.demo", ("Demos/Expert.demo",), "Demos/Expert.demo"),
        ("Expert", ("Demos/Expert.demo",), "Demos/Expert.demo"),
        ("Demos", ("Demos/a.demo", "Demos/b.demo"), "Demos"),
        ("Demos", ("Game/Demos/a.demo",), "Game/Demos"),
        ("a.demo", ("a.demo", "old/a.demo"), "a.demo"),
        ("old\\a.demo", ("a.demo", "old/a.demo"), "old/a.demo"),
    ],
)
def test_recordings_are_found_in_the_zip(demo, recordings, found):
    cloning = {"demo": demo}
    options, _ = settle_with_build(
        asked(behavioral_cloning=cloning, behaviors={"B": {"behavioral_cloning": cloning}}),
        manifest(recordings=recordings),
    )
    assert options.behavioral_cloning is not None
    assert options.behavioral_cloning.demo == found
    own = options.behaviors["B"].behavioral_cloning
    assert own is not None
    assert own.demo == found


@pytest.mark.parametrize(
    ("recordings", "words"),
    [
        ((), "recordings there: none"),
        (("b.demo",), "recordings there: b.demo"),
        (("x/a.demo", "y/a.demo"), "x/a.demo, y/a.demo"),
    ],
)
def test_a_recording_that_is_missing_or_there_twice_is_refused(recordings, words):
    with pytest.raises(InvalidRequestError) as caught:
        settle_with_build(asked(behavioral_cloning={"demo": "a.demo"}), manifest(recordings=recordings))
    assert words in caught.value.cause


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("environment.arguments", {"environment": {"arguments": ["x" * 2000] * 100}}),
        ("environment.parameters", {"environment": {"parameters": {f"p{number}": 1.0 for number in range(120)}}}),
        ("behaviors", {"behaviors": {f"B{number}": {"hyperparameters": {"lr": 0.1}} for number in range(2000)}}),
    ],
)
def test_what_is_too_much_for_a_job_is_named_by_its_largest_part(field, document):
    with pytest.raises(InvalidDocumentError) as caught:
        read_request(RunOptions, json.dumps(document))
    assert [problem.field for problem in caught.value.problems] == [field]
    assert "SageMaker takes 100 hyperparameters" in str(caught.value)
