"""What must hold of every run, whatever went wrong: nothing lost, nothing doubled, nothing left running."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.errors import LeaseHeldError, PipelineError
from pipeline.steps import sweeping
from tests.fakes.pipeline_stack import PipelineStack

_SWEEPS = 3


def sweep_up(stack: PipelineStack) -> None:
    """The sweeper's next calls, minutes later."""
    with patch.object(sweeping, "_GRACE", timedelta(0)):
        for _ in range(_SWEEPS):
            try:
                stack.sweep()
            except PipelineError:
                continue
            return


def assert_whole(stack: PipelineStack) -> None:
    """Every run has an outcome and a reason, was told of, costs nothing any more, and holds nothing."""
    records = stack.runs.list(limit=100).runs
    assert [record.run_id for record in records if not record.status.is_final] == [], "nothing is lost"
    assert [record.run_id for record in records if record.is_open] == []
    assert stack.sagemaker.running_jobs == [], "nothing is left running"
    for record in records:
        _assert_reason(record)
        _assert_one_job_each(stack, record)
        _assert_lease_is_free(stack, record)
    _assert_told(stack, records)
    _assert_endpoints(stack, records)


def _assert_reason(record: RunRecord) -> None:
    if record.status is RunStatus.FAILED:
        assert record.failure is not None
        assert record.failure.cause.strip()
        assert record.failure.remedy.strip()
    else:
        assert record.failure is None


def _assert_one_job_each(stack: PipelineStack, record: RunRecord) -> None:
    names = [
        name
        for name, job in stack.sagemaker.jobs.items()
        if job.request["Environment"]["GAMEDOJO_RUN_ID"] == record.run_id
    ]
    steps = [name.rsplit("-", 2)[1] for name in names]
    assert len(steps) == len(set(steps)), "nothing is doubled"
    if record.status in {RunStatus.SUCCEEDED, RunStatus.KEPT}:
        assert sorted(steps) == ["eval", "train"]


def _assert_lease_is_free(stack: PipelineStack, record: RunRecord) -> None:
    try:
        stack.policies.acquire_lease(record.policy, "somebody-else", 0)
    except LeaseHeldError:
        raise AssertionError(f"{record.policy}: the lease is still held") from None
    stack.policies.release_lease(record.policy, "somebody-else")


def _assert_told(stack: PipelineStack, records: tuple[RunRecord, ...]) -> None:
    """Each outcome once; a second message says by its id that it is one."""
    told = [(message["run_id"], message["status"]) for message in _distinct(stack.published())]
    assert sorted(told) == sorted((record.run_id, record.status.value) for record in records)


def _distinct(published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({one["deduplication_id"]: one["message"] for one in published}.values())


def _assert_endpoints(stack: PipelineStack, records: tuple[RunRecord, ...]) -> None:
    """An endpoint serves the version that is in service, and without one there is no endpoint."""
    for policy in {record.policy for record in records}:
        names = {record.endpoint.name for record in records if record.policy == policy and record.endpoint is not None}
        serving = [name for name in names if name in stack.sagemaker.endpoints]
        version = stack.policies.version_in_service(policy)
        if version is None:
            assert serving == [], "no endpoint that nobody verified"
            continue
        (name,) = serving
        tags = {tag["Key"]: tag["Value"] for tag in stack.sagemaker.served_model(name)["Tags"]}
        assert tags["run_id"] == version
        served = {record.run_id: record.status for record in records}
        assert version in served


def told_to_the_user(stack: PipelineStack) -> tuple[str, str]:
    """Outcome and reason of the newest run."""
    records = stack.runs.list(limit=100).runs
    if not records:
        return "no run", ""
    failure = records[0].failure
    words = "" if failure is None else f"`{failure.code}` {failure.cause} {failure.remedy}"
    return records[0].status.value, " ".join(words.split())
