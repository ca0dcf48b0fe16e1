"""The client's models, written by hand, against the pipeline's contracts: what one writes the other reads whole."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gamedojo import calls, models
from gamedojo.errors import ApiError, api_error
from gamedojo.reading import read
from gamedojo.uploading import upload_name
from pipeline.contracts import api, cost, environments, evaluation, job, notes, policy, predict, problem, request, run

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
    options=request.RunOptions(seed=7, algorithm="SAC", stop=job.StopRule(mean_return=0.5, budget_usd=2.5)),
    build_sha256="0" * 64,
    notes=(notes.SettingNote(setting="behaviors.Ball.summary_freq", note="changes nothing"),),
    serves="basic-0",
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
    evaluation=run.EvaluationSummary(
        mean_return=0.93,
        ci95_low=0.92,
        ci95_high=0.94,
        episodes=100,
        warnings=(evaluation.EvaluationWarning(behavior="", code="BuildUsesNetwork", cause="a", remedy="b"),),
    ),
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
        if field.name in ("document", "headers"):  # the answer itself; headers of an upload, which no contract has yet
            continue
        value, expected = getattr(mine, field.name), getattr(theirs, field.name)
        if is_dataclass(value):
            assert_same(value, expected)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for one, other in zip(value, expected, strict=True):
                assert_same(one, other)
        else:
            assert value == expected, field.name


BUILD_ID = "0" * 32
PART = api.UploadPart(number=1, upload_url="https://b.example/1")
TICKET = api.UploadTicket(
    build_id=BUILD_ID, key="uploads/1/x.zip", upload_url="https://b.example/", expires_in_seconds=900
)
PLAYED = evaluation.PlayedEpisodes(
    episodes=10,
    mean_return=0.5,
    std_return=0.1,
    min_return=0.0,
    max_return=1.0,
    ci95_low=0.4,
    ci95_high=0.6,
    mean_length=7.5,
    success=evaluation.SuccessRate(threshold=0.9, rate=0.5, ci95_low=0.2, ci95_high=0.8),
)
REPORT = evaluation.EvaluationReport(
    run_id="p-1",
    seed=3,
    behaviors=(evaluation.BehaviorEvaluation(behavior="B", deterministic=PLAYED, stochastic=PLAYED),),
    mean_return=0.5,
    ci95_low=0.4,
    ci95_high=0.6,
    warnings=(evaluation.EvaluationWarning(behavior="B", code="C", cause="a", remedy="b"),),
    wall_time_seconds=1.5,
)

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
        models.Prediction,
        predict.PredictResponse(policy="p", version="v", behavior="B", actions=(predict.Action(),), state=("a", None)),
    ),
    (models.Prediction, predict.PredictResponse(policy="p", version="v", behavior="B", state="one")),
    (models.Behavior, BEHAVIOR),
    (models.BuildUpload, TICKET),
    (
        models.MultipartUpload,
        api.MultipartTicket(
            build_id=BUILD_ID,
            key="uploads/1/x.zip",
            part_size_bytes=5,
            part_count=2,
            parts=(PART,),
            expires_in_seconds=9,
        ),
    ),
    (models.PartUrls, api.PartUrls(parts=(PART, PART), expires_in_seconds=9)),
    (models.Build, api.Build(build_id=BUILD_ID, key="k", size_bytes=5, uploaded_at=MOMENT)),
    (models.Build, api.Build(key="k", size_bytes=5, status="UPLOADING", parts=(1, 3))),
    (models.BuildPage, api.BuildPage(builds=(api.Build(key="k", size_bytes=5),), next_token="t")),
    (
        models.RegistryEntry,
        environments.RegistryEntry(
            environment="3DBall",
            key="registry/3DBall/x.zip",
            sha256="0" * 64,
            size_bytes=5,
            source="https://registry.example/3DBall.zip",
            arguments=("--scene", "3DBall"),
            expected_return=100,
            description="Balls.",
            mirrored_at=MOMENT,
        ),
    ),
    (models.DeletedBuild, api.DeletedBuild(build_id=BUILD_ID)),
    (models.DeletedEnvironment, environments.DeletedEnvironment(environment="3DBall")),
    (models.DeletedPolicy, api.DeletedPolicy(policy="p", versions=("p-1", "p-2"))),
    (models.Health, api.Health(api="predict", version="1", stage="dev")),
    (
        models.ServedVersion,
        policy.ServedVersion(
            version="p-1", run_id="p-2", at=MOMENT, endpoint_name="e", config_name="c", asleep_since=MOMENT
        ),
    ),
    (
        models.MetricsSeries,
        api.MetricsSeries(
            run_id="p-1",
            status=run.RunStatus.RUNNING,
            progress=run.Progress(env_steps=1),
            behaviors=(
                api.BehaviorSeries(
                    behavior="B",
                    iterations=3,
                    columns={"mean_return": (0.5, None), "env_steps": (1, 2)},
                    warnings=(policy.TrainingWarning(behavior="B", code="C", cause="a", remedy="r"),),
                ),
            ),
        ),
    ),
    (
        models.LogPage,
        api.LogPage(
            run_id="p-1",
            status=run.RunStatus.RUNNING,
            lines=(api.LogLine(at=MOMENT, job="training", text="line"),),
            next_token="t",
        ),
    ),
    (
        models.PolicyTraffic,
        api.PolicyTraffic(
            policy="p",
            endpoint_name="e",
            window="24h",
            period_seconds=900,
            starts=(MOMENT, MOMENT),
            columns={"invocations": (2, 0), "latency_ms_p99": (1.5, None)},
            total=api.TrafficSums(invocations=2, errors_4xx=0, errors_5xx=1),
        ),
    ),
    (models.EvaluationReport, REPORT),
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


def test_answers_about_policies_are_read() -> None:
    spec = policy.PolicySpec(policy="p", version="v", behaviors=(BEHAVIOR,))
    described = api.PolicyDescription(
        policy="p", version="v", endpoint_name="e", spec_key="k", asleep=True, spec=spec
    ).model_dump(mode="json")
    mine = calls.get_policy("p").parse(described)
    assert (mine.policy, mine.version, mine.endpoint_name, mine.asleep) == ("p", "v", "e", True)
    assert mine.document == described
    assert_same(mine.behaviors[0], BEHAVIOR)
    history = api.PolicyHistory(versions=()).model_dump(mode="json")
    assert calls.get_history("p").parse(history) == ()
    assert_same(read(models.CreatedRun, ACCEPTED.model_dump(mode="json")), ACCEPTED)


@pytest.mark.parametrize("size_bytes", [None, 5])
def test_an_upload_is_read_as_what_it_is(size_bytes: int | None) -> None:
    parts = api.MultipartTicket(
        build_id=BUILD_ID, key="k", part_size_bytes=5, part_count=1, parts=(PART,), expires_in_seconds=9
    )
    theirs = TICKET if size_bytes is None else parts
    call = calls.new_build("x.zip", size_bytes)
    assert api.UploadRequest.model_validate(call.body).size_bytes == size_bytes
    assert_same(call.parse(theirs.model_dump(mode="json")), theirs)
