"""POST /training-runs with an ML-Agents trainer file, or with the names of SageMaker RL."""

import json
from collections.abc import Iterator

import pytest

from pipeline.contracts.api import AcceptedRun
from pipeline.contracts.run import RunRecord
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import BUCKET, Stack, control_stack

BUILD_KEY = "uploads/4f1c/Basic.zip"
REQUEST = {"build": {"key": BUILD_KEY}}


@pytest.fixture
def control() -> Iterator[Stack]:
    with control_stack() as made:
        made.put(BUILD_KEY, b"zip")
        yield made


def stored(control: Stack, run_id: str) -> dict[str, object]:
    body = control.s3.get_object(Bucket=BUCKET, Key=f"runs/{run_id}/request.json")["Body"].read()
    return {name: value for name, value in json.loads(body).items() if name not in ("build", "policy")}


def test_a_trainer_file_is_stored_as_it_came_and_shown_taken_over(control: Stack) -> None:
    text = "behaviors:\n  Basic: {max_steps: 77, threaded: true}\n"
    accepted = document(call("POST", "/training-runs", REQUEST | {"mlagents": text}), AcceptedRun, 202)
    assert stored(control, accepted.run_id) == {"mlagents": text}
    record = document(call("GET", f"/training-runs/{accepted.run_id}"), RunRecord)
    assert record.options.stop is not None
    assert record.options.stop.env_steps == 77
    assert record.options.mlagents is None
    assert [note.setting for note in record.notes] == ["behaviors.Basic.threaded"]


def test_names_of_sagemaker_rl_become_ours(control: Stack) -> None:
    flat = {"rl.training.run": "PPO", "rl.training.config.lr": 1, "rl.training.stop.timesteps_total": 99}
    accepted = document(call("POST", "/training-runs", REQUEST | {"hyperparameters": flat}), AcceptedRun, 202)
    kept = stored(control, accepted.run_id)
    assert kept == {"algorithm": "PPO", "hyperparameters": {"lr": 1.0}, "stop": {"env_steps": 99}}
    assert isinstance(kept["hyperparameters"]["lr"], float)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"mlagents": "behaviors: {A: {trainer_type: mine}}"}, "mlagents.behaviors.A.trainer_type", "of your own"),
        ({"mlagents": "behaviors: ["}, "mlagents", "not YAML"),
        ({"mlagents": 3}, "mlagents", "valid"),
        ({"hyperparameters": {"rl.training.config.lrr": 1}}, "hyperparameters.rl.training.config.lrr", "config.lr"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_at_once(
    control: Stack, options: dict[str, object], field: str, said: str
) -> None:
    found = problem(call("POST", "/training-runs", REQUEST | options), 400)
    assert found.code == "InvalidRequest"
    messages = [error.message for error in found.errors if error.field.startswith(field)]
    assert any(said in message for message in messages), found.errors
    assert control.executions() == []


def test_another_trainer_file_is_another_run(control: Stack) -> None:
    runs = {
        document(call("POST", "/training-runs", REQUEST | {"mlagents": text}), AcceptedRun, 202).run_id
        for text in ("behaviors: {A: {}}", "behaviors: {A: {max_steps: 5}}", "behaviors: {A: {}}")
    }
    assert len(runs) == 2
