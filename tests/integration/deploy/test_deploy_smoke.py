"""The smoke test against a scripted stack: what it takes for right, what it refuses, that it cleans up either way."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from demo.corridor import LARGE_GOAL, START, one_hot
from deploy.errors import DeploymentError
from deploy.smoke import Smoked, smoke
from local.progress import Progress
from tests.fakes.api_server import Answer, FakeApi
from tests.fakes.run_documents import RUN_ID, at, failed, run_document, succeeded, training

KEY, TRAJECTORY = "uploads/b1/Basic.zip", "Basic.trajectory.npz"
STEPS = LARGE_GOAL - START
RIGHT, LEFT = 2, 1


def trajectory(action: int = RIGHT) -> bytes:
    """One episode: seven moves from the start."""
    file = io.BytesIO()
    np.savez(
        file,
        episode0_observation0=np.array([one_hot(cell) for cell in range(START, LARGE_GOAL + 1)], np.float32),
        episode0_discrete=np.full((STEPS, 1), action, np.int32),
    )
    return file.getvalue()


def estimate(**prices: float | None) -> dict[str, Any]:
    return {
        name: {"instance_type": "ml", "instance_count": 2, "spot": False, "max_seconds": 60, "usd_per_hour": price}
        for name, price in prices.items()
    }


def finished(**fields: Any) -> dict[str, Any]:
    job = {"name": "job", "status": "Completed", "started_at": at(0), "ended_at": at(1800)}
    return succeeded() | {
        "training_job": job,
        "evaluation_job": job,
        "estimate": estimate(training=0.4, evaluation=0.2),
        **fields,
    }


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi().running() as running:
        running.script("POST", "/builds", Answer(201, {"key": KEY, "upload_url": f"{running.origin}/bucket/zip"}))
        running.script("PUT", "/bucket/zip", Answer(body=b""))
        running.script("POST", "/training-runs", Answer(202, {"run_id": RUN_ID}))
        running.script(
            "GET",
            f"/training-runs/{RUN_ID}/artifacts",
            Answer(document={"artifacts": {TRAJECTORY: f"{running.origin}/bucket/npz"}}),
        )
        build = {"build_id": "b1", "key": KEY, "size_bytes": 1, "status": "READY"}
        running.script("GET", "/builds", Answer(document={"builds": [build], "next_token": None}))
        running.script("DELETE", "/builds/b1", Answer(document={"build_id": "b1"}))
        running.script("DELETE", "/policies/basic", Answer(document={"policy": "basic", "versions": [RUN_ID]}))
        yield running


def ends_as(api: FakeApi, *documents: dict[str, Any]) -> None:
    api.script(
        "GET", f"/training-runs/{RUN_ID}", Answer(document=training()), *(Answer(document=one) for one in documents)
    )


def serves(api: FakeApi, action: int = RIGHT, version: str = RUN_ID) -> None:
    """The policy goes one way in every cell, and is in service until it is deleted."""

    def rule(request: Any) -> Answer:
        actions = [{"discrete": [action]} for _ in request["observations"][0]]
        return Answer(document={"policy": "basic", "version": version, "behavior": "Basic", "actions": actions})

    api.script_by_body("POST", "/policies/basic/predict", rule)
    served = {"policy": "basic", "version": version, "behaviors": []}
    api.script("GET", "/policies", Answer(document={"policies": [served]}), Answer(document={"policies": []}))


def run(api: FakeApi) -> Smoked:
    return smoke(api.connection(), Progress(lambda _: None), poll_seconds=0.01, policy="basic")


def assert_cleaned_up(api: FakeApi, *, policy: bool = True) -> None:
    assert len(api.calls("DELETE", "/builds/b1")) == 1
    assert len(api.calls("DELETE", "/policies/basic")) == int(policy)


def test_what_acts_as_it_was_evaluated_passes_and_is_taken_down(api):
    ends_as(api, finished())
    serves(api)
    api.script("GET", "/bucket/npz", Answer(body=trajectory()))
    smoked = run(api)
    assert (smoked.mean_return, smoked.compared) == (0.93, STEPS)
    assert smoked.walked_return == pytest.approx(0.93)
    assert smoked.usd == pytest.approx(0.5 * 2 * (0.4 + 0.2))
    assert_cleaned_up(api)


def test_a_job_without_a_price_has_no_cost(api):
    ends_as(api, finished(estimate=estimate(training=0.4, evaluation=None)))
    serves(api)
    api.script("GET", "/bucket/npz", Answer(body=trajectory()))
    assert run(api).usd is None


@pytest.mark.parametrize(
    ("served", "recorded", "said"),
    [
        ({"action": RIGHT}, LEFT, "acts otherwise than it was evaluated: Basic.trajectory.npz"),
        ({"action": LEFT}, RIGHT, "moves earn 0.07, below 0.9"),
        ({"version": "older"}, RIGHT, "The version older answers for basic"),
        ({"action": 7}, RIGHT, "are no moves in 20 cells"),
    ],
)
def test_what_acts_otherwise_fails_and_is_taken_down(api, served, recorded, said):
    ends_as(api, finished())
    serves(api, **served)
    api.script("GET", "/bucket/npz", Answer(body=trajectory(recorded)))
    with pytest.raises(DeploymentError) as refused:
        run(api)
    assert said in str(refused.value)
    assert_cleaned_up(api)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (failed(), f"The run {RUN_ID} ended as FAILED"),
        (finished(evaluation={"mean_return": 0.5, "episodes": 9}), "has learned too little: its mean return is 0.500"),
    ],
)
def test_a_run_that_came_to_nothing_is_told_and_its_build_removed(api, document, said):
    ends_as(api, document)
    api.script("GET", "/policies", Answer(document={"policies": []}))
    with pytest.raises(DeploymentError, match=said):
        run(api)
    assert_cleaned_up(api, policy=False)


def test_a_run_that_cannot_be_followed_any_more_is_cancelled(api):
    missing = Answer(403, {"title": "x", "status": 403, "code": "ApiKeyInvalid", "detail": "The key is gone."})
    gone = Answer(document=run_document("FinishRun", "CANCELLED"))
    api.script("GET", f"/training-runs/{RUN_ID}", missing, Answer(document=training()), gone)
    api.script("DELETE", f"/training-runs/{RUN_ID}", Answer(202, training()))
    api.script("GET", "/policies", Answer(document={"policies": []}))
    with pytest.raises(DeploymentError, match="The key is gone"):
        run(api)
    assert len(api.calls("DELETE", f"/training-runs/{RUN_ID}")) == 1
    assert_cleaned_up(api, policy=False)
