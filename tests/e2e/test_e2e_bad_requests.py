"""Bad requests: 4xx, a JSON body that says what is wrong and what would be right."""

import math
from typing import Any

import pytest

PROBLEM = "application/problem+json"
GOOD = {"policy": "anything", "build": {"key": "uploads/1/Basic.zip"}}


def assert_problem(answer: Any, status: int, code: str, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith(PROBLEM)
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["remedy"]
    text = answer.text
    for word in words:
        assert word in text, text
    return problem


def test_a_request_that_is_not_json(cloud):
    answer = cloud.control("POST", "/training-runs", content=b'{"policy": "basic",')
    assert_problem(answer, 400, "InvalidRequest", "not JSON")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"polcy": "x"}, "polcy", "policy"),
        ({"hyperparameters": {"learning_rte": 0.1}}, "hyperparameters.learning_rte", "unknown"),
        ({"hyperparameters": {"gama": 0.9}}, "hyperparameters.gama", "gamma"),
        ({"hyperparameters": {"lr": "0.0003"}}, "hyperparameters.lr", "number"),
        ({"hyperparameters": {"gamma": 1.5}}, "hyperparameters.gamma", "less than or equal to 1"),
        ({"seed": 1.5}, "seed", "integer"),
        ({"algorithm": "DQN"}, "algorithm", "PPO"),
        ({"policy": "No Spaces!"}, "policy", "pattern"),
    ],
)
def test_a_field_that_is_wrong_is_named(cloud, change: dict[str, Any], field: str, words: str):
    problem = assert_problem(cloud.control("POST", "/training-runs", json=GOOD | change), 400, "InvalidRequest", words)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_build_that_was_never_uploaded(cloud):
    assert_problem(cloud.control("POST", "/training-runs", json=GOOD), 404, "BuildNotFound", "uploads/1/Basic.zip")


def test_an_unknown_run(cloud):
    assert_problem(cloud.control("GET", "/training-runs/no-such-run"), 404, "RunNotFound", "no-such-run")


def test_an_unknown_path(cloud):
    answer = cloud.control("GET", "/nonsense")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith(PROBLEM)


def test_an_unknown_policy(cloud):
    answer = cloud.predict("no-such-policy", json={"observations": [[1.0]]})
    assert_problem(answer, 404, "PolicyNotFound", "no-such-policy")


@pytest.mark.parametrize("key", ["", "0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("api", ["control", "predict"])
def test_a_key_that_is_missing_or_wrong(cloud, api: str, key: str):
    answer = (
        cloud.control("GET", "/training-runs", key=key)
        if api == "control"
        else cloud.predict("basic", key=key, json={})
    )
    assert answer.status_code == 403
    assert answer.json(), "a JSON body (the emulator answers in a form of its own)"


def test_a_games_key_cannot_start_training(cloud):
    answer = cloud.control("POST", "/training-runs", key=cloud.connection["predict_key"], json=GOOD)
    assert answer.status_code == 403


@pytest.fixture(scope="module")
def basic(cloud, dropped) -> None:
    run = cloud.finished(cloud.first_run("basic"))
    assert run["status"] == "SUCCEEDED", run


@pytest.mark.parametrize(
    ("observations", "words"),
    [
        ([[1.0] * 19], ("20", "19")),
        ([[[1.0] * 20, [1.0] * 21]], ("20",)),
        ([[1.0] * 20, [1.0] * 20], ("1", "2")),
        ([], ()),
        ({"no_such_sensor": [1.0] * 20}, ("no_such_sensor",)),
        ([["a"] + [1.0] * 19], ("number",)),
    ],
)
def test_an_observation_of_another_shape(cloud, basic, observations: Any, words: tuple[str, ...]):
    answer = cloud.predict("basic", json={"observations": observations})
    assert_problem(answer, 400, "InvalidObservation", *words)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_an_observation_that_is_not_finite(cloud, basic, number: str):
    body = '{"observations": [[' + ",".join([number] + ["0.0"] * 19) + "]]}"
    answer = cloud.predict("basic", content=body.encode())
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith(PROBLEM)
    assert math.isfinite(answer.json()["status"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"observation": [[1.0]]}'])
def test_a_predict_request_that_is_none(cloud, basic, body: bytes):
    answer = cloud.predict("basic", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith(PROBLEM)
    assert answer.json()["errors"]
