"""Policies in service: back to an earlier version, out of service; from a zip's hash to the endpoint by one query."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.contracts.api import DeletedPolicy, PolicyHistory
from pipeline.contracts.policy import CurrentPolicy
from pipeline.contracts.run import RunPage, RunRecord, RunStatus
from pipeline.errors import ServiceUnavailableError
from tests.fakes.artifact_archives import invocation_answer
from tests.fakes.control_calls import call, document, problem
from tests.fakes.fault_invariants import sweep_up
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.sagemaker_double import refused
from tests.integration.pipeline.test_pipeline_cancelling import once_before

ENDPOINT = "gamedojo-test-basic"


@pytest.fixture
def versions(stack: PipelineStack, basic: bytes) -> list[str]:
    """Three versions that came into service one after the other."""
    made = []
    for mean_return in (0.5, 0.7, 0.9):
        stack.returns = [mean_return]
        _, record = stack.run(stack.put("builds/basic.zip", basic))
        assert record.status is RunStatus.SUCCEEDED
        made.append(record.run_id)
    stack.messages()
    return made


def served(stack: PipelineStack) -> str:
    """The version that stands behind the endpoint."""
    return str({tag["Key"]: tag["Value"] for tag in stack.sagemaker.served_model(ENDPOINT)["Tags"]}["run_id"])


def current(stack: PipelineStack) -> CurrentPolicy:
    return CurrentPolicy.model_validate_json(stack.read("policies/basic/current.json"))


def rollback(stack: PipelineStack, body: Any = None) -> RunRecord:
    record = document(call("POST", "/policies/basic/rollback", body), RunRecord, 202)
    stack.wait_for_executions()
    return stack.runs.get(record.run_id)


def history(stack: PipelineStack) -> list[str]:
    found = document(call("GET", "/policies/basic/history"), PolicyHistory).versions
    return [one.version for one in found]


def test_one_call_brings_back_the_version_before(stack: PipelineStack, versions: list[str]) -> None:
    jobs = set(stack.sagemaker.jobs)
    record = rollback(stack)
    assert (record.status, record.serves, record.failure) == (RunStatus.SUCCEEDED, versions[1], None)
    assert [entry.state for entry in record.history] == [
        "AdmitRun",
        "DeployEndpoint",
        "CheckEndpoint",
        "VerifyEndpoint",
        "FinishRun",
    ]
    assert record.promotion is not None
    assert versions[2] in record.promotion.reasons[0]
    assert served(stack) == current(stack).version == versions[1]
    assert set(stack.sagemaker.jobs) == jobs, "nothing is trained or evaluated"
    assert history(stack) == [versions[1], *versions[::-1]]
    (message,) = stack.messages()
    assert (message["run_id"], message["status"]) == (record.run_id, "SUCCEEDED")


def test_any_version_that_was_in_service_may_be_named(stack: PipelineStack, versions: list[str]) -> None:
    assert rollback(stack, {"version": versions[0]}).serves == versions[0]
    assert served(stack) == versions[0]


def test_a_second_call_undoes_the_first(stack: PipelineStack, versions: list[str]) -> None:
    rollback(stack)
    rollback(stack)
    assert served(stack) == versions[2]


def test_the_same_call_twice_is_one_run(stack: PipelineStack, versions: list[str]) -> None:
    answers: list[Any] = []
    stack.turn = once_before("CheckEndpoint", lambda: answers.append(call("POST", "/policies/basic/rollback")))
    record = rollback(stack)
    (again,) = answers
    assert document(again, RunRecord, 202).run_id == record.run_id
    assert served(stack) == versions[1]
    assert stack.sagemaker.calls.count("UpdateEndpoint") == 3  # two deployments after the first, and this one


def test_a_start_whose_answer_was_lost_is_made_up_for(
    stack: PipelineStack, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**request: Any) -> Any:
        raise refused("StartExecution", "ServiceUnavailable", status=503)

    with monkeypatch.context() as broken:
        broken.setattr(stack.sfn, "start_execution", away)
        problem(call("POST", "/policies/basic/rollback"), 503)
    assert rollback(stack).status is RunStatus.SUCCEEDED
    assert served(stack) == versions[1]


def test_a_version_that_answers_otherwise_does_not_stay(stack: PipelineStack, versions: list[str]) -> None:
    stack.runtime.answer = lambda request, version: invocation_answer(request, "another-version")
    record = rollback(stack)
    assert record.failure is not None
    assert record.failure.code == "VerificationFailed"
    assert served(stack) == current(stack).version == versions[2]
    assert history(stack) == versions[::-1]


@pytest.mark.parametrize("swept", [False, True], ids=["by FinishRun", "by the sweeper"])
def test_games_are_told_of_no_version_that_was_taken_back(
    stack: PipelineStack, versions: list[str], basic: bytes, swept: bool
) -> None:
    """VerifyEndpoint has written what is current, and then cannot record it."""

    def ends_badly(run: Callable[[], Any]) -> RunRecord:
        stack.faults.planned[Call("VerifyEndpoint", "dynamodb", "update_item", 1)] = "access denied"  # after the lease
        stack.broken["FinishRun"] = [ServiceUnavailableError("SNS is away.")] * (9 if swept else 0)  # to its last try
        run()
        if swept:
            sweep_up(stack)
        assert stack.newest().status is RunStatus.FAILED
        return stack.newest()

    ends_badly(lambda: rollback(stack))
    assert served(stack) == current(stack).version == stack.policies.version_in_service("basic") == versions[2]
    first = ends_badly(lambda: stack.run(stack.put("builds/another.zip", basic)))
    assert first.policy == "another"
    assert stack.keys("policies/another/current.json") == []


def test_after_one_that_failed_the_same_call_is_another_try(stack: PipelineStack, versions: list[str]) -> None:
    right, stack.runtime.answer = stack.runtime.answer, lambda request, version: invocation_answer(request, "x")
    failed = rollback(stack)
    stack.runtime.answer = right
    again = rollback(stack)
    assert failed.run_id != again.run_id
    assert (again.status, served(stack)) == (RunStatus.SUCCEEDED, versions[1])


def test_a_rollback_is_cancelled_as_any_run(stack: PipelineStack, versions: list[str]) -> None:
    def cancel() -> None:
        call("DELETE", f"/training-runs/{stack.newest().run_id}")

    stack.turn = once_before("CheckEndpoint", cancel)
    record = rollback(stack)
    sweep_up(stack)
    assert stack.runs.get(record.run_id).status is RunStatus.CANCELLED
    assert served(stack) == versions[2]


@pytest.mark.parametrize("wanted", ["nobody-0123456789ab", "present"])
def test_what_cannot_be_gone_back_to_is_refused_with_what_can(
    stack: PipelineStack, versions: list[str], wanted: str
) -> None:
    version = versions[2] if wanted == "present" else wanted
    refusal = problem(call("POST", "/policies/basic/rollback", {"version": version}), 409)
    assert version in refusal.detail
    assert f"{versions[1]}, {versions[0]}" in refusal.remedy


def test_the_only_version_has_none_before_it(stack: PipelineStack, basic: bytes) -> None:
    stack.execute(stack.put("builds/basic.zip", basic))
    assert "only" in problem(call("POST", "/policies/basic/rollback"), 409).detail


def test_a_version_whose_files_are_gone_is_refused(stack: PipelineStack, versions: list[str]) -> None:
    stack.s3.delete_object(Bucket="gamedojo-test-bucket", Key=f"runs/{versions[1]}/serving/model.tar.gz")
    assert "gone" in problem(call("POST", "/policies/basic/rollback"), 409).detail
    assert served(stack) == versions[2]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "rollback"), ("POST", "wake"), ("GET", "history"), ("DELETE", "")]
)
def test_a_policy_that_nobody_knows_is_not_found(stack: PipelineStack, method: str, path: str) -> None:
    assert problem(call(method, f"/policies/nobody/{path}".rstrip("/")), 404).code == "PolicyNotFound"


def test_a_deleted_policy_leaves_nothing_that_costs(stack: PipelineStack, versions: list[str]) -> None:
    deleted = document(call("DELETE", "/policies/basic"), DeletedPolicy)
    assert deleted.versions == tuple(versions)
    assert (stack.sagemaker.endpoints, stack.sagemaker.configs, stack.sagemaker.models) == ({}, {}, {})
    assert stack.keys("policies/basic/") == []
    assert stack.policies.version_in_service("basic") is None
    assert problem(call("GET", "/policies/basic"), 404).code == "PolicyNotFound"
    assert problem(call("DELETE", "/policies/basic"), 404).code == "PolicyNotFound"
    assert stack.runs.get(versions[2]).status is RunStatus.SUCCEEDED, "runs stay"


def test_a_policy_comes_again_after_it_was_deleted(stack: PipelineStack, versions: list[str], basic: bytes) -> None:
    call("DELETE", "/policies/basic")
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (record.status, served(stack)) == (RunStatus.SUCCEEDED, record.run_id)
    assert history(stack) == [record.run_id]


def test_a_policy_is_not_deleted_under_a_run(stack: PipelineStack, versions: list[str], basic: bytes) -> None:
    answers: list[Any] = []
    stack.turn = once_before("CheckTraining", lambda: answers.append(call("DELETE", "/policies/basic")))
    stack.execute(stack.put("builds/basic.zip", basic))
    assert "goes on" in problem(answers[0], 409).detail
    assert ENDPOINT in stack.sagemaker.endpoints


def test_a_deletion_that_was_broken_off_is_gone_on_with(stack: PipelineStack, versions: list[str]) -> None:
    stack.sagemaker.faults["DeleteEndpoint"] = [refused("DeleteEndpoint", "ThrottlingException")]
    problem(call("DELETE", "/policies/basic"), 429)
    document(call("DELETE", "/policies/basic"), DeletedPolicy)
    assert stack.sagemaker.endpoints == {}


def test_a_zips_hash_leads_to_its_endpoint_by_one_query(stack: PipelineStack, basic: bytes) -> None:
    other = basic + b"\0"
    for name, build in (("basic", basic), ("other", other), ("again", basic)):
        stack.execute(stack.put(f"builds/{name}.zip", build))
    digest = hashlib.sha256(basic).hexdigest()
    found = document(call("GET", "/training-runs", query={"build_sha256": digest}), RunPage).runs
    endpoints = [record.endpoint.name for record in found if record.endpoint is not None]
    assert [record.policy for record in found] == ["again", "basic"]
    assert endpoints == ["gamedojo-test-again", "gamedojo-test-basic"]
    narrowed = {"build_sha256": digest, "policy": "basic", "status": "SUCCEEDED"}
    (only,) = document(call("GET", "/training-runs", query=narrowed), RunPage).runs
    assert only.policy == "basic"


def test_a_hash_that_is_none_is_refused(stack: PipelineStack) -> None:
    refusal = problem(call("GET", "/training-runs", query={"build_sha256": "md5"}), 400)
    assert refusal.errors[0].field == "build_sha256"
