"""Runs that fail: each says why and what to do about it, nothing is left running and nothing half deployed."""

import io
import zipfile
from typing import Any

import pytest

from pipeline.contracts.run import RunStatus
from tests.fakes.artifact_archives import evaluation_files, invocation_answer, tar_gz, training_files, with_manifest
from tests.fakes.failed_runs import expect, failed, wrong_actions
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, PREFIX, PipelineStack
from tests.fakes.run_documents import CHAIN
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS

ENDPOINT = f"{PREFIX}-basic"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WITHOUT_PROGRAM = zipped({"readme.txt": b"hello"})


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (
            b"this is no zip",
            "BuildRejected",
            ["builds/basic.zip is no readable zip (14 bytes)", "upload the zip whole"],
        ),
        (b"", "BuildRejected", ["no readable zip (0 bytes)"]),
        (WITHOUT_PROGRAM, "BuildRejected", ["no executable", "Linux x86-64"]),
        (WITHOUT_PROGRAM[:60], "BuildRejected", ["no readable zip"]),
        (zipped({"Game.exe": b"MZ", "Game_Data/x": b""}), "BuildRejected", ["Windows build (Game.exe)", "Linux"]),
        (
            zipped({"gamedojo.json": b'{"max_cost_usd": 1}', "Game.x86_64": b"#!/bin/sh", "Game_Data/x": b""}),
            "InvalidRequest",
            ["max_cost_usd", "could cost up to", "instances.max_runtime_seconds to at most"],
        ),
        (zipped({"gamedojo.json": b'{"sead": 1}'}), "InvalidRequest", ["gamedojo.json", "sead", "did you mean 'seed'"]),
        (zipped({"gamedojo.json": b"{"}), "InvalidRequest", ["gamedojo.json", "not JSON"]),
        (zipped({"gamedojo.yaml": b"sead: 1"}), "InvalidRequest", ["gamedojo.yaml", "sead", "did you mean 'seed'"]),
    ],
    ids=["text", "empty", "no program", "cut off", "Windows", "too dear", "unknown field", "no JSON", "YAML"],
)
def test_a_bad_zip_is_rejected_in_words_before_anything_is_paid_for(
    stack: PipelineStack, body: bytes, code: str, words: list[str]
) -> None:
    record = failed(stack, stack.put("builds/basic.zip", body))
    expect(record, code, "InspectBuild", *words)
    assert stack.sagemaker.calls == []


def test_any_object_below_builds_is_a_run_whose_record_says_what_is_wrong(stack: PipelineStack) -> None:
    record = failed(stack, stack.put("builds/游戏.txt", b"hello"))
    expect(record, "BuildRejected", "InspectBuild", "builds/游戏.txt")
    assert record.policy.startswith("build-")


def test_a_build_that_is_gone_when_the_run_begins(stack: PipelineStack, basic: bytes) -> None:
    event = stack.put("builds/basic.zip", basic)
    event["detail"]["object"]["version-id"] = "00000000-0000-0000-0000-000000000000"
    expect(failed(stack, event), "BuildNotFound", "AdmitRun", "builds/basic.zip")


def test_a_build_that_was_replaced_where_events_name_no_version(stack: PipelineStack, basic: bytes) -> None:
    event = stack.put("builds/basic.zip", basic)
    del event["detail"]["object"]["version-id"]
    stack.put("builds/basic.zip", b"another")
    expect(failed(stack, event), "BuildNotFound", "AdmitRun", "replaced", "a run of its own")


@pytest.mark.parametrize(
    ("request_text", "words"),
    [('{"build": {"key": "uploads/a.zip"}, "sead": 1}', ["sead", "did you mean 'seed'"]), (None, ["request.json"])],
)
def test_a_stored_request_that_cannot_be_read_is_a_failed_run(
    stack: PipelineStack, request_text: str | None, words: list[str]
) -> None:
    if request_text is not None:
        stack.put("runs/my-game-0123456789ab/request.json", request_text.encode())
    event = {"run_id": "my-game-0123456789ab", "request_key": "runs/my-game-0123456789ab/request.json"}
    record = failed(stack, {"source": "gamedojo.api", **event})
    assert (record.run_id, record.policy) == ("my-game-0123456789ab", "my-game")
    assert record.failure is not None
    assert record.failure.state == "AdmitRun"
    assert all(word in record.failure.cause for word in words)


def test_an_input_that_names_no_run_fails_the_execution_with_the_reason(stack: PipelineStack) -> None:
    execution = stack.execute({"hello": "world"})
    assert (execution["status"], execution["error"]) == ("FAILED", "InvalidRequest")
    assert "run_id" in execution["cause"]
    assert stack.runs.list().runs == ()


FAILURE = "AlgorithmError: [BuildCrashed] The build ended with signal 11. Remedy: Start it on a desktop., exit code: 1"
TOO_MANY = "AlgorithmError: [BuildLimit] it ran more than 40 processes. Remedy: Look for what it starts., exit code: 1"
REPLACED = "AlgorithmError: [UnknownOrigin] It has the SHA-256 0. Remedy: Train the earlier run again., exit code: 1"


@pytest.mark.parametrize(
    ("ended", "code", "words"),
    [
        ({"TrainingJobStatus": "Failed", "FailureReason": TOO_MANY}, "BuildLimit", ["40 processes", "what it starts."]),
        ({"TrainingJobStatus": "Failed", "FailureReason": REPLACED}, "UnknownOrigin", ["SHA-256", "earlier run"]),
        ({"TrainingJobStatus": "Failed", "FailureReason": FAILURE}, "BuildCrashed", ["signal 11", "on a desktop."]),
        ({"TrainingJobStatus": "Failed", "FailureReason": "InternalServerError"}, "Platform", ["InternalServerError"]),
        ({"TrainingJobStatus": "Failed"}, None, ["without saying why", "log"]),
        (
            {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: , exit code: 137"},
            "OutOfMemory",
            ["memory"],
        ),
        ({"TrainingJobStatus": "Stopped"}, None, ["stopped from outside"]),
        (
            {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"},
            "Capacity",
            ["Spot machines", "instances.spot false"],
        ),
        ({"TrainingJobStatus": "Deleting"}, None, []),
        (
            {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"},
            None,
            ["longer than its limit of 86400 s", "max_runtime_seconds"],
        ),
    ],
)
def test_a_training_job_that_ends_badly_ends_the_run(
    stack: PipelineStack, basic: bytes, ended: dict[str, Any], code: str | None, words: list[str]
) -> None:
    bad = {"SecondaryStatus": "Failed", **ended}
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS, bad]
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, code or "TrainingFailed", "CheckTraining", *words)
    assert record.training_job is not None
    assert record.training_job.status == bad["TrainingJobStatus"]
    assert len(stack.sagemaker.jobs) == 1


@pytest.mark.parametrize(("failing", "state"), [("train", "CheckTraining"), ("evaluate", "CheckEvaluation")])
def test_where_sagemaker_says_little_the_end_of_the_log_tells_why(
    stack: PipelineStack, basic: bytes, failing: str, state: str
) -> None:
    def script(step: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        if step != failing:
            return [COMPLETED]
        name = request["TrainingJobName"]
        stack.print(name, "Starting.", "OSError: [Errno 28] No space left on device: '/opt/ml/model/weights'", "Ended.")
        stack.print(f"{name}0", "MemoryError, in another job's log")
        bad = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}
        return [IN_PROGRESS, bad | {"FailureReason": "AlgorithmError: , exit code: 1"}]

    stack.sagemaker.script = script
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "DiskFull", state, "No space left on device", "instances.volume_size_gb")


def test_a_log_that_cannot_be_read_hides_nothing(stack: PipelineStack, basic: bytes) -> None:
    bad = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: odd"}
    stack.sagemaker.script = lambda step, request: [bad]
    for operation in ("describe_log_streams", "get_log_events"):
        stack.faults.planned[Call("CheckTraining", "logs", operation, 0)] = "access denied"
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "TrainingFailed", "CheckTraining", "AlgorithmError: odd")


@pytest.mark.parametrize(
    ("secondary", "word"), [("MaxRuntimeExceeded", "fewer evaluation.episodes"), ("Stopped", "stopped from outside")]
)
def test_an_evaluation_that_ends_badly_ends_the_run(
    stack: PipelineStack, basic: bytes, secondary: str, word: str
) -> None:
    bad = {"TrainingJobStatus": "Stopped", "SecondaryStatus": secondary}
    stack.sagemaker.script = lambda step, request: [bad if step == "evaluate" else COMPLETED]
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "EvaluationFailed", "CheckEvaluation", word)
    assert stack.sagemaker.endpoints == {}


def altered(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "policies/Basic.onnx": b"another"}


def lacking(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != "policies/Basic.onnx"}


def of_another_run(files: dict[str, bytes]) -> dict[str, bytes]:
    return training_files("basic-somebodyelse")


def without_spec(files: dict[str, bytes]) -> dict[str, bytes]:
    return with_manifest("basic-1", {"config.json": b"{}"})


def escaping(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "../outside": b"x"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (altered, "policies/Basic.onnx"),
        (lacking, "policies/Basic.onnx"),
        (of_another_run, "basic-somebodyelse"),
        (without_spec, "policy_spec.json"),
        (escaping, "../outside"),
    ],
)
def test_a_broken_artifact_is_not_evaluated(stack: PipelineStack, basic: bytes, change: Any, word: str) -> None:
    def leave(step: str, request: dict[str, Any]) -> None:
        stack.write_artifact(request, tar_gz(change(training_files(request["Environment"]["GAMEDOJO_RUN_ID"]))))

    stack.sagemaker.on_completed = leave
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "ArtifactInvalid", "ExtractCheckpoint", word)
    assert len(stack.sagemaker.jobs) == 1


@pytest.mark.parametrize(
    "body", [b"no gzip at all", tar_gz({"a": b"b" * 100_000})[:200], b""], ids=["text", "cut off", "empty"]
)
def test_an_artifact_that_is_no_archive(stack: PipelineStack, basic: bytes, body: bytes) -> None:
    stack.sagemaker.on_completed = lambda step, request: stack.write_artifact(request, body)
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "ArtifactInvalid", "ExtractCheckpoint", "model.tar.gz")


def test_an_evaluation_without_a_report(stack: PipelineStack, basic: bytes) -> None:
    def leave(step: str, request: dict[str, Any]) -> None:
        run_id = request["Environment"]["GAMEDOJO_RUN_ID"]
        report_less = with_manifest(run_id, {"parity.json": evaluation_files(run_id, 1)["parity.json"]})
        stack.write_artifact(request, tar_gz(training_files(run_id) if step == "train" else report_less))

    stack.sagemaker.on_completed = leave
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "ArtifactInvalid", "DecidePromotion", "evaluation")


def test_a_first_endpoint_that_fails_is_deleted(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.endpoint_script = lambda name: ["Creating", "Failed"]
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "DeploymentFailed", "CheckEndpoint", "did not answer /ping", f"/aws/sagemaker/Endpoints/{ENDPOINT}")
    assert stack.sagemaker.endpoints == {}
    assert stack.policies.version_in_service("basic") is None


def test_an_update_that_sagemaker_rolls_back_leaves_the_former_policy(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    _, first = stack.run(stack.put("builds/basic.zip", basic))
    stack.messages()
    stack.sagemaker.endpoint_script = lambda name: ["Updating", "rolled back"]
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "DeploymentFailed", "CheckEndpoint", "former version")
    assert first.endpoint is not None
    assert stack.sagemaker.endpoints[ENDPOINT]["config"] == first.endpoint.config_name
    assert stack.policies.version_in_service("basic") == first.run_id


def wrong_version(request: Any, version: str) -> bytes:
    return invocation_answer(request, "somebody-elses")


@pytest.mark.parametrize(
    ("answer", "word"), [(wrong_actions, "1 of 2 observations"), (wrong_version, "somebody-elses")]
)
def test_a_first_endpoint_that_answers_otherwise_is_deleted(
    stack: PipelineStack, basic: bytes, answer: Any, word: str
) -> None:
    stack.runtime.answer = answer
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "VerificationFailed", "VerifyEndpoint", word)
    assert stack.sagemaker.endpoints == {}
    assert not stack.keys("policies/basic/current.json")


def test_an_updated_endpoint_that_answers_otherwise_goes_back(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    _, first = stack.run(stack.put("builds/basic.zip", basic))
    stack.messages()
    current = stack.read("policies/basic/current.json")
    stack.runtime.answer = wrong_actions
    failed(stack, stack.put("builds/basic.zip", basic))
    assert first.endpoint is not None
    assert stack.sagemaker.endpoints[ENDPOINT]["config"] == first.endpoint.config_name
    assert stack.read("policies/basic/current.json") == current
    assert stack.policies.version_in_service("basic") == first.run_id


def test_an_endpoint_that_failed_long_ago_is_deleted_and_made_anew(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    stack.run(stack.put("builds/basic.zip", basic))
    stack.messages()
    stack.sagemaker.endpoints[ENDPOINT]["statuses"] = ["Failed"]
    _, second = stack.run(stack.put("builds/basic.zip", basic))
    assert second.status is RunStatus.SUCCEEDED
    assert stack.sagemaker.calls.count("CreateEndpoint") == 2


def test_a_deployment_is_taken_back_even_if_its_state_was_cut_off(stack: PipelineStack, basic: bytes) -> None:
    """The endpoint was created, and the Lambda died before it could answer."""
    made = stack.sagemaker.create_endpoint

    def create_and_die(**request: Any) -> Any:
        made(**request)
        stack.sagemaker.endpoints[ENDPOINT]["statuses"] = ["InService"]
        raise RuntimeError("cut off")

    stack.sagemaker.create_endpoint = create_and_die  # type: ignore[method-assign]
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "Internal", "DeployEndpoint", "cut off")
    assert stack.sagemaker.endpoints == {}


@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_a_job_is_stopped_even_if_its_state_was_cut_off(stack: PipelineStack, basic: bytes, step: str) -> None:
    made = stack.sagemaker.create_training_job

    def create_and_die(**request: Any) -> Any:
        made(**request)
        if ("ContainerEntrypoint" in request["AlgorithmSpecification"]) == (step == "evaluate"):
            raise RuntimeError("cut off")

    stack.sagemaker.create_training_job = create_and_die  # type: ignore[method-assign]
    state = {"train": "StartTraining", "evaluate": "StartEvaluation"}[step]
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "Internal", state, "cut off")
    assert stack.sagemaker.calls.count("StopTrainingJob") == 1


@pytest.mark.parametrize("state", CHAIN[1:-1])
def test_a_fault_of_ours_in_any_state_ends_in_order(stack: PipelineStack, basic: bytes, state: str) -> None:
    stack.broken[state] = [KeyError("oops")]
    record = failed(stack, stack.put("builds/basic.zip", basic))
    assert record.failure is not None
    assert (record.failure.code, record.failure.retryable) == ("Internal", False)
    assert "KeyError: 'oops'" in record.failure.cause
    assert record.failure.state == CHAIN[CHAIN.index(state) - 1], "the last state that was entered"


def test_a_fault_of_ours_before_anything_is_written_is_recorded_too(stack: PipelineStack, basic: bytes) -> None:
    stack.broken["AdmitRun"] = [KeyError("oops")]
    expect(failed(stack, stack.put("builds/basic.zip", basic)), "Internal", "AdmitRun", "oops")
