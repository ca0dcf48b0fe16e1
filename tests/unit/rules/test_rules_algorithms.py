"""Settings of another algorithm are refused before a job is paid for."""

import json
from typing import Any

import pytest

from pipeline.contracts.build import BuildManifest
from pipeline.contracts.job import TrainingJobConfig
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import InvalidRequestError
from pipeline.rules.algorithms import check_algorithm
from pipeline.rules.run_options import read_request, settle_with_build
from tests.fakes.inspected_builds import manifest


def fields(document: dict[str, Any]) -> list[str]:
    """Of what is wrong."""
    try:
        check_algorithm(read_document(TrainingJobConfig, document))
    except InvalidDocumentError as error:
        return [problem.field for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({}, []),
        ({"hyperparameters": {"tau": 0.01}}, ["hyperparameters.tau"]),
        ({"algorithm": "SAC", "hyperparameters": {"tau": 0.01, "gamma": 0.9}}, []),
        (
            {"algorithm": "SAC", "hyperparameters": {"clip_param": 0.2, "num_epochs": 3}},
            ["hyperparameters.clip_param", "hyperparameters.num_epochs"],
        ),
        ({"algorithm": "APPO", "hyperparameters": {"clip_param": 0.2, "learner_queue_size": 2}}, []),
        ({"algorithm": "poca", "hyperparameters": {"learner_queue_size": 2}}, ["hyperparameters.learner_queue_size"]),
        ({"algorithm": "APPO", "environment": {"lockstep": True}}, ["environment.lockstep"]),
        ({"algorithm": "SAC", "network": {"memory": {}}}, ["network.memory"]),
        ({"algorithm": "SAC", "network": {"memory": "none"}, "self_play": "none"}, []),
        ({"algorithm": "poca", "self_play": {}}, []),
        ({"algorithm": "poca", "curiosity": {}}, ["curiosity"]),
        (
            {"algorithm": "SAC", "behaviors": {"Striker": {"self_play": {}, "hyperparameters": {"lambda_": 0.9}}}},
            ["behaviors.Striker.hyperparameters.lambda_", "behaviors.Striker.self_play"],
        ),
        ({"stop": {}}, ["stop"]),
        ({"behaviors": {"Goalie": {"stop": {}}}}, ["behaviors.Goalie.stop"]),
        ({"hyperparameters": {"train_batch_size": 64, "minibatch_size": 64}}, []),
        ({"hyperparameters": {"train_batch_size": 64, "minibatch_size": 65}}, ["hyperparameters.minibatch_size"]),
        ({"hyperparameters": {"minibatch_size": 4096}}, []),
        (
            {
                "hyperparameters": {"train_batch_size": 64},
                "behaviors": {"Goalie": {"hyperparameters": {"minibatch_size": 128}}},
            },
            ["behaviors.Goalie.hyperparameters.minibatch_size"],
        ),
        ({"algorithm": "SAC", "hyperparameters": {"train_batch_size": 64, "minibatch_size": 128}}, []),
    ],
)
def test_what_an_algorithm_has_no_use_for_is_named(document: dict[str, Any], wrong: list[str]) -> None:
    assert fields(document) == wrong


def test_the_remedy_is_in_the_message() -> None:
    with pytest.raises(InvalidDocumentError, match=r"hyperparameters\.tau.* is SAC's, and the algorithm is PPO; .*SAC"):
        check_algorithm(read_document(TrainingJobConfig, {"hyperparameters": {"tau": 0.01}}))


def build_with(trainer_type: str) -> BuildManifest:
    return manifest({"behaviors": {"B": {"trainer_type": trainer_type}}})


def request(**fields: Any) -> str:
    return json.dumps({"build": {"key": "builds/game.zip"}, **fields})


@pytest.mark.parametrize("chosen", [{"algorithm": "PPO"}, {"mlagents": {"behaviors": {"B": {"trainer_type": "ppo"}}}}])
def test_a_request_that_chooses_its_algorithm_is_refused_at_once(chosen: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match=r"hyperparameters\.tau"):
        read_request(TrainingRequest, request(hyperparameters={"tau": 0.01}, **chosen))


def test_a_request_that_does_not_is_judged_with_the_trainer_file_in_the_zip() -> None:
    asked = read_request(TrainingRequest, request(hyperparameters={"tau": 0.01}))
    options, _ = settle_with_build(asked, build_with("sac"))
    assert options.algorithm == "SAC"
    for other in (build_with("ppo"), manifest()):
        with pytest.raises(InvalidRequestError, match=r"hyperparameters\.tau"):
            settle_with_build(asked, other)


def test_what_the_zip_says_of_itself_is_judged_too() -> None:
    with pytest.raises(InvalidRequestError, match=r"stop.* is empty"):
        settle_with_build(read_request(RunOptions, json.dumps({"stop": {}})), manifest())
