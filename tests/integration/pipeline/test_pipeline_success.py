"""Runs that end as they should: deployed, kept back, or a duplicate of another."""

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from pipeline.aws.objects import ObjectStore
from pipeline.contracts.policy import ArtifactManifest, CurrentPolicy
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.contracts.states import JobPoll, RunReference
from pipeline.errors import ArtifactInvalidError
from pipeline.steps.artifacts import extract_checkpoint
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, BUCKET, PREFIX, PipelineStack
from tests.fakes.run_documents import CHAIN
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS


def posted(stack: PipelineStack, build: bytes, run_id: str = "mine-0123456789ab", **options: Any) -> dict[str, Any]:
    """What the control API leaves behind for AdmitRun, and the event that it starts the machine with."""
    event = stack.put("uploads/1/My Game.zip", build)
    request_key = f"runs/{run_id}/request.json"
    source = {"key": "uploads/1/My Game.zip", "version_id": event["detail"]["object"]["version-id"]}
    stack.put(request_key, json.dumps({"policy": "mine", "build": source, **options}).encode())
    return {"source": "gamedojo.api", "run_id": run_id, "request_key": request_key}


def test_a_dropped_build_becomes_a_served_policy(stack: PipelineStack, basic: bytes) -> None:
    execution, record = stack.run(stack.put("builds/Basic.zip", basic))
    assert execution["status"] == "SUCCEEDED"
    assert (record.status, record.failure) == (RunStatus.SUCCEEDED, None)
    assert tuple(entry.state for entry in record.history) == CHAIN
    assert record.state == "FinishRun"
    assert record.finished_at is not None
    assert record.finished_at >= record.created_at
    assert record.evaluation is not None
    assert record.evaluation.mean_return == 0.93
    assert record.endpoint is not None
    assert stack.sagemaker.describe_endpoint(record.endpoint.name)["EndpointStatus"] == "InService"
    current = CurrentPolicy.model_validate_json(stack.read("policies/basic/current.json"))
    assert current.version == record.run_id
    assert current.endpoint_name == record.endpoint.name
    assert stack.read(current.spec_key) == stack.read(record.artifacts["policy_spec.json"])
    assert stack.policies.version_in_service("basic") == record.run_id
    stack.policies.acquire_lease("basic", "somebody-else", 0)  # given back
    (message,) = stack.messages()
    assert message == record.model_dump(mode="json", exclude_none=True, exclude={"notified", "cleanup_pending"})
    assert (record.notified, record.cleanup_pending) == (True, False)


def test_every_artifact_of_the_record_can_be_read_and_what_is_served_is_whole(
    stack: PipelineStack, basic: bytes
) -> None:
    _, record = stack.run(stack.put("builds/Basic.zip", basic))
    assert {"Basic.onnx", "learning_curve.png", "model.tar.gz"} <= set(record.artifacts)
    assert {"evaluation_report.json", "evaluation_report.html"} <= set(record.artifacts)
    assert stack.read(record.artifacts["Basic.replay.gif"]).startswith(b"GIF89a")
    assert record.artifacts["Basic.trajectory.npz"] == f"runs/{record.run_id}/evaluation/Basic.trajectory.npz"
    assert record.evaluation is not None
    assert [warning.code for warning in record.evaluation.warnings] == ["BuildUsesNetwork"]
    for key in record.artifacts.values():
        assert stack.read(key)
    served = stack.sagemaker.served_model(f"{PREFIX}-basic")["PrimaryContainer"]["ModelDataUrl"]
    body = stack.read(served.split("/", 3)[3])
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        manifest = ArtifactManifest.model_validate_json(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert set(archive.getnames()) == {*manifest.files, "manifest.json"}
    told = {"config.json", "training_summary.json", "progress.jsonl"}
    assert set(manifest.files) == {"policy_spec.json", "policies/Basic.onnx", *told}
    assert manifest.run_id == record.run_id


def test_the_jobs_are_asked_for_with_all_that_they_need(stack: PipelineStack, basic: bytes) -> None:
    _, record = stack.run(stack.put("builds/Basic.zip", basic))
    run = f"s3://gamedojo-test-bucket/runs/{record.run_id}"
    training, evaluation = (job.request for job in stack.sagemaker.jobs.values())
    channels = {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in training["InputDataConfig"]}
    assert channels == {"build": f"{run}/build.zip"}
    assert training["CheckpointConfig"]["S3Uri"] == f"{run}/checkpoints/"
    assert training["OutputDataConfig"] == {"S3OutputPath": f"{run}/output"}
    assert json.loads(training["HyperParameters"]["environment.executable"]) == record.executable == "Basic.x86_64"
    assert "ContainerEntrypoint" not in training["AlgorithmSpecification"]
    channels = {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in evaluation["InputDataConfig"]}
    assert channels == {"build": f"{run}/build.zip", "model": f"{run}/serving/model.tar.gz"}
    assert evaluation["AlgorithmSpecification"]["ContainerEntrypoint"] == ["evaluate"]
    assert "CheckpointConfig" not in evaluation
    for request in (training, evaluation):
        assert request["EnableNetworkIsolation"] is True
        assert request["Environment"] == {"GAMEDOJO_RUN_ID": record.run_id, "GAMEDOJO_POLICY": "basic"}
        assert {"Key": "run_id", "Value": record.run_id} in request["Tags"]


def test_a_posted_request_is_what_the_jobs_are_told(stack: PipelineStack, basic: bytes) -> None:
    options = {
        "seed": 5,
        "hyperparameters": {"lr": 0.0003},
        "instances": {"instance_type": "ml.m5.large", "max_runtime_seconds": 600},
        "evaluation": {"episodes": 7},
        "endpoint": {"mode": "realtime"},
    }
    execution, record = stack.run(posted(stack, basic, **options))
    assert execution["status"] == "SUCCEEDED"
    assert (record.run_id, record.policy, record.source_key) == ("mine-0123456789ab", "mine", "uploads/1/My Game.zip")
    training, evaluation = (job.request for job in stack.sagemaker.jobs.values())
    assert json.loads(training["HyperParameters"]["hyperparameters.lr"]) == 0.0003
    assert json.loads(training["HyperParameters"]["seed"]) == 5
    assert training["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    assert training["EnableManagedSpotTraining"] is True
    assert training["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600 + 6 * 3600}
    assert "EnableManagedSpotTraining" not in evaluation
    assert evaluation["StoppingCondition"] == {"MaxRuntimeInSeconds": 2 * 3600}
    assert json.loads(evaluation["HyperParameters"]["episodes"]) == 7
    assert record.endpoint is not None
    assert record.endpoint.name == f"{PREFIX}-mine-rt"
    assert stack.sagemaker.served_model(record.endpoint.name)["EnableNetworkIsolation"] is True


def test_a_request_may_do_without_spot_and_a_budget_is_told_the_price(stack: PipelineStack, basic: bytes) -> None:
    options = {"instances": {"spot": False}, "stop": {"budget_usd": 2.0, "env_steps": 100}}
    _, record = stack.run(posted(stack, basic, **options))
    training = next(iter(stack.sagemaker.jobs.values())).request
    assert "EnableManagedSpotTraining" not in training
    assert "MaxWaitTimeInSeconds" not in training["StoppingCondition"]
    assert record.estimate is not None
    told = json.loads(training["HyperParameters"]["stop.usd_per_hour"])
    assert told == record.estimate.training.usd_per_hour
    assert record.estimate.training.max_usd == pytest.approx(2.0, abs=0.001)


def test_a_run_begins_with_the_artifact_of_an_earlier_one(stack: PipelineStack, basic: bytes) -> None:
    _, earlier = stack.run(stack.put("builds/Basic.zip", basic))
    execution, record = stack.run(posted(stack, basic, start_from=earlier.run_id))
    assert execution["status"] == "SUCCEEDED"
    *_, training, _ = (job.request for job in stack.sagemaker.jobs.values())
    channels = {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in training["InputDataConfig"]}
    assert channels == {
        "build": f"s3://gamedojo-test-bucket/runs/{record.run_id}/build.zip",
        "initial": f"s3://gamedojo-test-bucket/{earlier.artifacts['model.tar.gz']}",
    }
    archive = stack.read(earlier.artifacts["model.tar.gz"])
    recorded = hashlib.sha256(archive).hexdigest()
    assert earlier.artifact_sha256 == recorded
    assert json.loads(training["HyperParameters"]["initial_sha256"]) == recorded


def test_an_artifact_that_was_replaced_between_two_tries_is_refused(stack: PipelineStack, basic: bytes) -> None:
    _, record = stack.run(stack.put("builds/Basic.zip", basic))
    key = record.artifacts["model.tar.gz"]
    run = RunReference(run_id=record.run_id, policy=record.policy, bucket=BUCKET, build_key=record.build_key)
    training = JobPoll(
        job_name="train",
        wait_seconds=1,
        started_at_epoch=0,
        deadline_epoch=1,
        done=True,
        status="Completed",
        model_artifact_key=key,
    )
    objects = ObjectStore(stack.s3, BUCKET)
    stack.runs.update(record.run_id, lambda known: known.model_copy(update={"status": RunStatus.RUNNING}))
    extract_checkpoint(run, training, record.state, objects, stack.runs)
    objects.write(key, stack.read(key) + bytes(512))
    with pytest.raises(ArtifactInvalidError, match="replaced since"):
        extract_checkpoint(run, training, record.state, objects, stack.runs)


def test_a_run_cannot_begin_with_an_artifact_of_which_there_is_no_record(stack: PipelineStack, basic: bytes) -> None:
    _, earlier = stack.run(stack.put("builds/Basic.zip", basic))
    jobs = len(stack.sagemaker.jobs)
    stack.runs.update(earlier.run_id, lambda known: known.model_copy(update={"artifact_sha256": None}))
    _, record = stack.run(posted(stack, basic, start_from=earlier.run_id))
    assert record.failure is not None
    assert (record.failure.code, earlier.run_id in record.failure.cause) == ("TrainingFailed", True)
    assert "no hash" in record.failure.cause
    assert len(stack.sagemaker.jobs) == jobs


@pytest.mark.parametrize("known", [False, True])
def test_a_run_cannot_begin_with_what_another_one_has_not_left(stack: PipelineStack, basic: bytes, known: bool) -> None:
    if known:  # itself: it has left nothing yet
        _, record = stack.run(posted(stack, basic, start_from="mine-0123456789ab"))
    else:
        _, record = stack.run(posted(stack, basic, start_from="nobody-1"))
    assert record.failure is not None
    assert record.failure.code == ("TrainingFailed" if known else "RunNotFound")
    assert ("mine-0123456789ab" if known else "nobody-1") in record.failure.cause
    assert stack.sagemaker.jobs == {}


def test_the_jobs_metrics_are_the_runs_progress(stack: PipelineStack, basic: bytes) -> None:
    metrics = {"env_steps": 4096.0, "mean_return": 0.5, "episodes": 12.0, "a metric of a later image": 1.0}
    listed = [{"MetricName": name, "Value": value} for name, value in metrics.items()]
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS, {**COMPLETED, "FinalMetricDataList": listed}]
    _, record = stack.run(stack.put("builds/Basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED
    assert record.progress.model_dump(exclude_none=True) == {"env_steps": 4096, "mean_return": 0.5, "episodes": 12}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"evaluation": {"min_mean_return": 0.95}}, "0.93 is below evaluation.min_mean_return 0.95"),
        ({"endpoint": {"deploy": False}}, "endpoint.deploy = false"),
    ],
)
def test_a_policy_that_is_held_back_is_a_decision_and_not_a_failure(
    stack: PipelineStack, basic: bytes, options: dict[str, Any], reason: str
) -> None:
    execution, record = stack.run(posted(stack, basic, **options))
    assert execution["status"] == "SUCCEEDED"
    assert (record.status, record.failure) == (RunStatus.KEPT, None)
    assert record.promotion is not None
    assert reason in record.promotion.reasons[0]
    assert stack.sagemaker.endpoints == {}
    assert stack.policies.version_in_service("mine") is None
    stack.policies.acquire_lease("mine", "somebody-else", 0)
    assert stack.messages()[0]["status"] == "KEPT"


def test_a_second_run_updates_the_endpoint_and_a_worse_one_leaves_it_alone(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = [0.8, 0.9, 0.5]
    _, first = stack.run(stack.put("builds/Basic.zip", basic))
    _, better = stack.run(stack.put("builds/Basic.zip", basic))
    assert better.status is RunStatus.SUCCEEDED
    assert first.endpoint is not None
    assert better.endpoint is not None
    assert better.endpoint.name == first.endpoint.name
    assert better.endpoint.previous_config_name == first.endpoint.config_name
    _, worse = stack.run(stack.put("builds/Basic.zip", basic))
    assert worse.status is RunStatus.KEPT
    assert worse.promotion is not None
    assert "policy in service is better" in worse.promotion.reasons[0]
    assert stack.sagemaker.endpoints[better.endpoint.name]["config"] == better.endpoint.config_name
    assert json.loads(stack.read("policies/basic/current.json"))["version"] == better.run_id
    assert stack.sagemaker.calls.count("CreateEndpoint") == 1


def test_an_event_that_is_delivered_twice_is_one_run(stack: PipelineStack, basic: bytes) -> None:
    event = stack.put("builds/Basic.zip", basic)
    _, record = stack.run(event)
    jobs = list(stack.sagemaker.jobs)
    again = stack.execute(event)
    assert (again["status"], again["states"][-1]) == ("SUCCEEDED", "DuplicateRun")
    assert stack.runs.list().runs == (record,)
    assert list(stack.sagemaker.jobs) == jobs
    assert len(stack.messages()) == 1


def test_the_run_trains_on_the_version_that_was_dropped(stack: PipelineStack, basic: bytes) -> None:
    event = stack.put("builds/Basic.zip", basic)
    stack.put("builds/Basic.zip", b"replaced before the run began")
    _, record = stack.run(event)
    assert record.status is RunStatus.SUCCEEDED
    assert stack.read(record.build_key) == basic


def without_version(event: dict[str, Any], sequencer: str) -> dict[str, Any]:
    thing = {name: value for name, value in event["detail"]["object"].items() if name != "version-id"}
    return {**event, "detail": {**event["detail"], "object": {**thing, "sequencer": sequencer}}}


def test_where_events_name_no_version_each_drop_is_a_run_and_each_delivery_is_not(
    stack: PipelineStack, basic: bytes
) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    ids: list[RunRecord] = []
    for sequencer in ("01", "01", "02"):
        stack.execute(without_version(stack.put("builds/Basic.zip", basic), sequencer))
        ids.append(stack.newest())
    assert ids[0].run_id == ids[1].run_id != ids[2].run_id
    assert {record.status for record in ids} == {RunStatus.SUCCEEDED}


def test_a_folder_made_in_a_console_starts_nothing(stack: PipelineStack) -> None:
    execution = stack.execute(stack.put("builds/basic/", b""))
    assert (execution["status"], execution["states"]) == ("SUCCEEDED", ["IsFolderMarker", "FolderMarkerIgnored"])
    assert stack.runs.list().runs == ()


def test_polls_wait_as_long_as_the_settings_say_and_unknown_statuses_are_waited_for(
    stack: PipelineStack, basic: bytes
) -> None:
    novel = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "AskingTheStars"}
    stack.sagemaker.script = lambda step, request: [novel, novel, IN_PROGRESS, COMPLETED]
    stack.sagemaker.endpoint_script = lambda name: ["SystemUpdating", "InService"]
    execution, record = stack.run(stack.put("builds/Basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED
    assert execution["states"].count("CheckTraining") == 4
    assert stack.pauses == [7] * (4 + 4 + 3)
