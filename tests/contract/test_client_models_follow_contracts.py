"""The client's models, written by hand, against the pipeline's contracts: what one writes the other reads whole."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gamedojo import client, models
from gamedojo.client import upload_name
from gamedojo.errors import ApiError, api_error
from gamedojo.reading import read
from pipeline.contracts import api, cost, policy, predict, problem, request, run

MOMENT = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

ESTIMATE = cost.CostEstimate(
    training=cost.JobCost(
        instance_type="ml.x.y", instance_count=2, spot=True, max_seconds=60, usd_per_hour=3.0, max_usd=0.1
    ),
    evaluation=cost.JobCost(
        instance_type="ml.y.z", instance_count=1, spot=False, max_seconds=60, usd_per_hour=None, max_usd=None
    ),
    max_usd=None,
    prices="somewhere, 2025",
)
RECORD = run.RunRecord(
    run_id="basic-1",
    policy="basic",
    status=run.RunStatus.FAILED,
    state="FinishRun",
    created_at=MOMENT,
    updated_at=MOMENT,
    finished_at=MOMENT,
    execution_arn="arn:x",
    source_key="builds/basic.zip",
    build_key="runs/basic-1/build.zip",
    options=request.RunOptions(seed=7),
    executable="Basic.x86_64",
    estimate=ESTIMATE,
    progress=run.Progress(
        env_steps=1, env_steps_limit=2, mean_return=0.5, episodes=3, iteration=4, env_steps_per_second=5.5
    ),
    training_job=run.JobRecord(
        name="t", status="Completed", secondary_status="Completed", started_at=MOMENT, ended_at=MOMENT
    ),
    evaluation_job=run.JobRecord(name="e", status="InProgress"),
    artifacts={"Basic.onnx": "runs/basic-1/checkpoint/policies/Basic.onnx"},
    evaluation=run.EvaluationSummary(mean_return=0.93, ci95_low=0.92, ci95_high=0.94, episodes=100),
    promotion=run.PromotionDecision(promote=True, reasons=("first policy",)),
    endpoint=run.EndpointRecord(name="n", config_name="c", status="InService"),
    failure=run.Failure(code="C", state="VerifyEndpoint", cause="a", remedy="b", retryable=True),
    history=(run.HistoryEntry(state="AdmitRun", at=MOMENT),),
)
NEW_RECORD = run.RunRecord(
    run_id="basic-2",
    policy="basic",
    status=run.RunStatus.RUNNING,
    state="AdmitRun",
    created_at=MOMENT,
    updated_at=MOMENT,
    execution_arn="arn:x",
    source_key="builds/basic.zip",
    build_key="runs/basic-2/build.zip",
    options=request.RunOptions(),
)


ACCEPTED = api.AcceptedRun(
    run_id="basic-1", policy="basic", status=run.RunStatus.RUNNING, estimate=ESTIMATE, links={"self": "/x"}
)
BEHAVIOR = policy.BehaviorSpec(
    name="B",
    onnx="policies/B.onnx",
    observations=(policy.ObservationSpec(name="camera", shape=(3, 84, 84)),),
    actions=policy.ActionSpec(continuous_size=2, discrete_branches=(3, 3)),
    memory_size=64,
)


def assert_same(mine: Any, theirs: BaseModel) -> None:
    """Every field that the client knows has the contract's value."""
    for field in fields(mine):
        if field.name == "document":
            continue
        value, expected = getattr(mine, field.name), getattr(theirs, field.name)
        if is_dataclass(value):
            assert_same(value, expected)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for one, other in zip(value, expected, strict=True):
                assert_same(one, other)
        else:
            assert value == expected, field.name


PAIRS = [
    (models.Run, RECORD),
    (models.Run, NEW_RECORD),
    (models.RunPage, run.RunPage(runs=(RECORD, NEW_RECORD), next_token="more")),
    (
        models.Prediction,
        predict.PredictResponse(
            policy="p", version="v", behavior="B", action=predict.Action(continuous=(0.5,), discrete=(1,))
        ),
    ),
    (
        models.Prediction,
        predict.PredictResponse(
            policy="p", version="v", behavior="B", actions=(predict.Action(), predict.Action(discrete=(2,)))
        ),
    ),
    (
        models.Behavior,
        BEHAVIOR,
    ),
]


@pytest.mark.parametrize(("model", "theirs"), PAIRS)
@pytest.mark.parametrize("without_none", [False, True])
def test_what_the_pipeline_writes_the_client_reads(model: type, theirs: BaseModel, without_none: bool) -> None:
    assert_same(read(model, theirs.model_dump(mode="json", exclude_none=without_none)), theirs)


def test_final_statuses_are_the_same() -> None:
    assert {str(status) for status in run.RunStatus if status.is_final} == models.FINAL_STATUSES


def test_a_problem_is_read_whole() -> None:
    theirs = problem.Problem(
        title="t",
        status=400,
        code="c",
        detail="d",
        remedy="r",
        errors=(problem.FieldProblem(field="a.b", message="m"),),
    )
    error = api_error(400, theirs.model_dump(mode="json"))
    assert isinstance(error, ApiError)
    assert (error.title, error.status, error.code, error.detail, error.remedy) == ("t", 400, "c", "d", "r")
    assert [(one.field, one.message) for one in error.errors] == [("a.b", "m")]


def test_what_the_client_sends_to_predict_the_contract_takes() -> None:
    for observations in ([[0.0, 1.0]], {"vector": [0.0, 1.0]}, [[[0.0], [1.0]]]):
        predict.PredictRequest.model_validate({"observations": observations, "deterministic": False, "behavior": "B"})


@given(st.text(min_size=1))
def test_any_file_name_becomes_one_that_the_api_takes(name: str) -> None:
    assert api.UploadRequest(file_name=upload_name(name))


@pytest.mark.parametrize("name", ["MyGame.zip", "My Game (2).zip", "a.b_c-1.zip"])
def test_a_good_file_name_stays(name: str) -> None:
    assert upload_name(name) == name


def test_answers_about_policies_and_uploads_are_read() -> None:
    spec = policy.PolicySpec(policy="p", version="v", behaviors=(BEHAVIOR,))
    description = api.PolicyDescription(policy="p", version="v", endpoint_name="e", spec_key="k", spec=spec)
    mine = client._policy(description.model_dump(mode="json"))
    assert (mine.policy, mine.version, mine.endpoint_name) == ("p", "v", "e")
    assert_same(mine.behaviors[0], BEHAVIOR)
    ticket = api.UploadTicket(
        build_id="0" * 32, key="uploads/1/x.zip", upload_url="https://b.example/", expires_in_seconds=900
    )
    assert_same(read(models.CreatedRun, ACCEPTED.model_dump(mode="json")), ACCEPTED)
    upload = read(models.BuildUpload, ticket.model_dump(mode="json"))
    assert (upload.key, upload.upload_url, upload.method) == (ticket.key, ticket.upload_url, "PUT")
