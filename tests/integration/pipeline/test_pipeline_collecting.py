"""What no endpoint uses and no rollback needs is deleted; what is in use never is, whatever comes between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.aws import alarms, scaling
from pipeline.contracts.request import EndpointRequest
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.rules.collection import KEPT_VERSIONS
from pipeline.steps.records import now
from tests.fakes.configured_builds import configured
from tests.fakes.control_calls import call, document
from tests.fakes.control_stack import OPERATORS
from tests.fakes.fault_invariants import sweep_up
from tests.fakes.faulty_clients import Faults
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack
from tests.fakes.sagemaker_double import refused

SERVERLESS, REALTIME = "gamedojo-test-basic", "gamedojo-test-basic-rt"


def deploy(stack: PipelineStack, basic: bytes, seed: int, **endpoint: Any) -> RunRecord:
    build = configured(basic, seed=seed, endpoint=endpoint, evaluation={"promote_if": "always"})
    _, record = stack.run(stack.put("builds/basic.zip", build))
    assert record.status is RunStatus.SUCCEEDED
    return record


def names(stack: PipelineStack) -> set[str]:
    assert set(stack.sagemaker.models) == set(stack.sagemaker.configs)
    return set(stack.sagemaker.configs)


def config_of(record: RunRecord) -> str:
    assert record.endpoint is not None
    return record.endpoint.config_name


def test_the_last_versions_stay_and_older_ones_are_made_again_by_a_rollback(stack: PipelineStack, basic: bytes) -> None:
    made = [deploy(stack, basic, seed) for seed in range(KEPT_VERSIONS + 2)]
    swept = stack.sweep_endpoints()
    old = {config_of(one) for one in made[:2]}
    assert set(swept["deleted_versions"]) == old
    assert names(stack) == {config_of(one) for one in made} - old
    record = document(call("POST", "/policies/basic/rollback", {"version": made[0].run_id}), RunRecord, 202)
    stack.wait_for_executions()
    assert stack.runs.get(record.run_id).status is RunStatus.SUCCEEDED
    assert stack.sagemaker.endpoints[SERVERLESS]["config"] == config_of(made[0])


def test_the_endpoint_of_the_former_mode_goes(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, 0, mode="realtime", max_instance_count=2)
    deploy(stack, basic, 1)
    assert set(stack.sagemaker.endpoints) == {SERVERLESS, REALTIME}
    assert stack.sweep_endpoints()["deleted_endpoints"] == [REALTIME]
    assert set(stack.sagemaker.endpoints) == {SERVERLESS}
    assert scaling.scaled_endpoints(stack.autoscaling, "gamedojo-test") == frozenset()


def test_what_is_young_is_left_alone(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, 0, mode="realtime")
    deploy(stack, basic, 1)
    stack.sagemaker.created[REALTIME] = now()
    assert stack.sweep_endpoints()["deleted_endpoints"] == []


def test_alarms_and_scaling_of_an_endpoint_that_is_gone_go(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, 0)
    alarms.put(stack.cloudwatch, "gamedojo-test-gone", 100, OPERATORS, {"project": "gamedojo"})
    scaling.register(stack.autoscaling, REALTIME, EndpointRequest(mode="realtime", max_instance_count=2))
    alarms.put(stack.cloudwatch, REALTIME, 100, OPERATORS, {"project": "gamedojo"})
    assert stack.sweep_endpoints()["deleted_endpoints"] == [REALTIME, "gamedojo-test-gone"]
    assert alarms.endpoints_with_alarms(stack.cloudwatch, "gamedojo-test") == {SERVERLESS}
    assert scaling.scaled_endpoints(stack.autoscaling, "gamedojo-test") == frozenset()


def test_what_is_not_ours_stays(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, 0)
    request = next(iter(stack.sagemaker.models.values())) | {"ModelName": "gamedojo-test-mine", "Tags": []}
    stack.sagemaker.create_model(**request)
    stack.sagemaker.create_model(**request | {"ModelName": "gamedojo-testing-x"})
    stack.sweep_endpoints()
    assert {"gamedojo-test-mine", "gamedojo-testing-x"} <= set(stack.sagemaker.models)


def test_a_run_that_failed_leaves_nothing_for_long(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.endpoint_script = lambda name: ["Creating", "Failed"]
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.FAILED
    sweep_up(stack)
    assert len(names(stack)) == 1
    assert list(stack.sweep_endpoints()["deleted_versions"]) != []
    assert names(stack) == set()
    assert stack.sagemaker.endpoints == {}


def test_one_thing_that_fails_holds_nothing_else_up(stack: PipelineStack, basic: bytes) -> None:
    made = [deploy(stack, basic, seed) for seed in range(KEPT_VERSIONS + 1)]
    deploy(stack, basic, 100, mode="realtime")  # the serverless endpoint is of no use now
    stack.sagemaker.faults["DeleteEndpoint"] = [refused("DeleteEndpoint", "ThrottlingException")]
    with pytest.raises(Exception, match="pause"):
        stack.sweep_endpoints()
    assert SERVERLESS in stack.sagemaker.endpoints
    stack.sweep_endpoints()
    assert SERVERLESS not in stack.sagemaker.endpoints
    stack.sweep_endpoints()
    assert config_of(made[1]) not in names(stack)


# ── Whatever comes between ─────


@contextmanager
def between(stack: PipelineStack, number: int, action: Callable[[], Any]) -> Iterator[None]:
    """Do something between two calls to AWS: before the one of this number from now on."""
    around = Faults.around
    left, within = [number], [False]

    def hooked(faults: Faults, service: str, operation: str, request: dict[str, Any], do: Callable[[], Any]) -> Any:
        if not within[0]:
            left[0] -= 1
            if left[0] == -1:
                within[0] = True
                here = getattr(faults._here, "at", None)
                action()
                within[0] = False
                if here is not None:
                    faults._here.at = here
        return around(faults, service, operation, request, do)

    with patch.object(Faults, "around", hooked):
        yield


def rollback(stack: PipelineStack, version: str) -> None:
    call("POST", "/policies/basic/rollback", {"version": version})
    stack.wait_for_executions()


@pytest.fixture(scope="module")
def crowded(basic: bytes) -> Iterator[tuple[PipelineStack, list[str]]]:
    """More versions came into service than are kept, by turns serverless and real-time."""
    with pipeline_stack() as stack:
        made = [
            deploy(stack, basic, seed, mode=mode).run_id
            for seed in range(KEPT_VERSIONS + 2)
            for mode in [("serverless", "realtime")[seed % 3 == 0]]
        ]
        yield stack, made


STORIES = st.tuples(st.sampled_from([1, 1, 0, KEPT_VERSIONS]), st.integers(0, 20), st.booleans(), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORIES)
def test_a_config_in_use_is_never_deleted(
    crowded: tuple[PipelineStack, list[str]], story: tuple[int, int, bool, bool]
) -> None:
    """A rollback between two calls of a sweep, or a sweep between two calls of a rollback, succeeding or not.

    SageMaker's double refuses to delete a config or model in use, and one to which SageMaker may still roll back.
    """
    stack, made = crowded
    chosen, number, sweep_within, rolls_back = story
    target = oldest_first(stack, made)[chosen]  # the first ones are what a sweep is about to delete
    deleted: list[Exception] = []

    def sweep() -> None:
        try:
            stack.sweep_endpoints()
        except AssertionError as error:
            deleted.append(error)

    script = ["Updating", "RollingBack", "rolled back"] if rolls_back else ["Updating", "Updating", "InService"]
    endpoints = stack.sagemaker.endpoints  # what is created cannot be rolled back
    script_of = lambda name: list(script) if endpoints[name]["former"] else ["InService"]  # noqa: E731
    with patch.object(stack.sagemaker, "endpoint_script", script_of):
        if sweep_within:
            with between(stack, number, sweep):
                rollback(stack, target)
        else:
            with between(stack, number, lambda: rollback(stack, target)):
                sweep()
    assert deleted == []
    sweep_up(stack)
    version = stack.policies.version_in_service("basic")
    (current,) = [one for one in (SERVERLESS, REALTIME) if one == endpoint_in_service(stack)]
    tags = {tag["Key"]: tag["Value"] for tag in stack.sagemaker.served_model(current)["Tags"]}
    assert tags["run_id"] == version


def oldest_first(stack: PipelineStack, made: list[str]) -> list[str]:
    """Versions to go back to, by when they were last in service."""
    last = {one.version: number for number, one in enumerate(stack.policies.history("basic"))}
    return sorted(made, key=lambda version: last[version])[:-1]


def endpoint_in_service(stack: PipelineStack) -> str:
    return str(stack.policies.history("basic")[-1].endpoint_name)
