"""Updates under load: traffic that moves step by step, alarms, rollback; and instances that come and go."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.fakes.sagemaker_cloud import Cloud, put_silent_alarm, service, set_alarm
from tests.fakes.waiting import wait_for

HOUR = 3600


@pytest.fixture(autouse=True)
def no_plan_stays(cloud: Cloud):
    yield
    cloud.plan()


def deployment(kind: str = "ALL_AT_ONCE", *, wait: int = 0, alarms: tuple[str, ...] = (), **sizes: dict) -> dict:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    config: dict = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def alarm(cloud: Cloud, name: str) -> str:
    """One without data: the emulator sets any other to what the data say whenever it is asked."""
    put_silent_alarm(cloud.cloudwatch, name, "tests")
    return name


def ring(cloud: Cloud, name: str, state: str = "ALARM") -> None:
    set_alarm(cloud.cloudwatch, name, state)


def update(cloud: Cloud, name: str, config: str, **arguments: object) -> None:
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **arguments)


def phase(cloud: Cloud, name: str) -> str:
    described = cloud.sagemaker.describe_endpoint(EndpointName=name)
    variants = described.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    return variants[0]["VariantStatus"][0]["Status"] if variants else described["EndpointStatus"]


@contextmanager
def load(cloud: Cloud, name: str) -> Iterator[Counter]:
    """Three clients ask on and on; no answer may be an error."""
    answers: Counter = Counter()
    failed: list[Exception] = []
    done = threading.Event()

    def ask_on_and_on() -> None:
        while not done.is_set():
            try:
                answers[cloud.invoke(name)["document"]["model"]] += 1
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=ask_on_and_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: answers.total() > 10, "the endpoint is asked")
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failed == []


def has_it_all(answers: Counter, model: str) -> bool:
    """Whether of the next invocations all but those that were under way are answered by this model."""
    before = answers.copy()
    wait_for(lambda: (answers - before).total() > 50, "the endpoint is asked")
    later = answers - before
    return later.total() - later[model] <= 3


def test_a_canary_gets_its_share_and_then_everything(cloud: Cloud):
    name = "canary"
    cloud.endpoint(name)
    cloud.settled(name)
    new = cloud.endpoint_config("canary-2")
    size = {"Type": "CAPACITY_PERCENT", "Value": 20}
    with load(cloud, name) as answers:
        update(cloud, name, new, DeploymentConfig=deployment("CANARY", wait=HOUR, CanarySize=size))
        wait_for(lambda: phase(cloud, name) == "Baking", "the canary bakes")
        wait_for(lambda: answers[new] > 20, "the canary is asked")
        before = answers.copy()
        wait_for(lambda: (answers - before).total() > 200, "both are asked")
        share = (answers - before)[new] / (answers - before).total()
        assert 0.1 < share < 0.3
        assert cloud.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == "canary-1"
        cloud.admin("POST", "clock", {"advance_seconds": HOUR})
        wait_for(lambda: has_it_all(answers, new), "the new one has it all")
        cloud.admin("POST", "clock", {"advance_seconds": HOUR})
        assert cloud.settled(name)["EndpointConfigName"] == new


@pytest.mark.parametrize("kind", ["ALL_AT_ONCE", "LINEAR"])
def test_an_alarm_rolls_back_and_nobody_notices(cloud: Cloud, kind: str):
    name = f"alarm-{kind.split('_')[0]}".lower()
    ringing = alarm(cloud, name)
    cloud.endpoint(name)
    cloud.settled(name)
    new = cloud.endpoint_config(f"{name}-2")
    sizes = {"LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 50}} if kind == "LINEAR" else {}
    with load(cloud, name) as answers:
        update(cloud, name, new, DeploymentConfig=deployment(kind, wait=HOUR, alarms=(ringing,), **sizes))
        wait_for(lambda: answers[new] > 20, "the new one answers")
        ring(cloud, ringing)
        cloud.admin("POST", "clock", {"advance_seconds": 60})
        described = cloud.settled(name)
        assert described["EndpointConfigName"] == f"{name}-1"
        assert name in described["FailureReason"]
        before = answers.copy()
        wait_for(lambda: (answers - before).total() > 50, "the endpoint is asked on")
        assert (answers - before)[new] <= 3


def test_an_alarm_that_rings_for_another_endpoint_rolls_nothing_back(cloud: Cloud):
    for name in ("noisy", "calm"):
        cloud.endpoint(name)
        cloud.settled(name)
    cloud.cloudwatch.put_metric_alarm(
        AlarmName="errors-of-calm",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": "calm"}, {"Name": "VariantName", "Value": "AllTraffic"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )

    def fails_and_rings(name: str) -> bool:
        with suppress(ClientError):
            cloud.invoke(name, {"status": 500, "text": "broken"})
        return bool(cloud.cloudwatch.describe_alarms(StateValue="ALARM", AlarmNames=["errors-of-calm"])["MetricAlarms"])

    new = cloud.endpoint_config("calm-2")
    update(cloud, "calm", new, DeploymentConfig=deployment(wait=HOUR, alarms=("errors-of-calm",)))
    wait_for(lambda: phase(cloud, "calm") == "Baking", "the new one has the traffic")
    wait_for(lambda: fails_and_rings("noisy"), "the emulator takes one endpoint's errors for the other's")
    cloud.admin("POST", "clock", {"advance_seconds": HOUR})
    assert cloud.settled("calm")["EndpointConfigName"] == new
    third = cloud.endpoint_config("calm-3")
    update(cloud, "calm", third, DeploymentConfig=deployment(wait=HOUR, alarms=("errors-of-calm",)))
    wait_for(lambda: phase(cloud, "calm") == "Baking", "the third one has the traffic")

    def fails_and_is_taken_back() -> bool:
        fails_and_rings("calm")
        cloud.admin("POST", "clock", {"advance_seconds": 60})
        return cloud.endpoint_status("calm") == "InService"

    wait_for(fails_and_is_taken_back, "its own errors take the third one back")
    assert cloud.settled("calm")["EndpointConfigName"] == new


def test_a_rollback_that_fails_is_said_and_can_be_mended(cloud: Cloud):
    name = "stuck"
    cloud.endpoint(name)
    cloud.settled(name)
    cloud.plan({"kind": "failing_rollback", "resource": name})
    update(cloud, name, cloud.endpoint_config("stuck-2", crash=True))
    wait_for(lambda: cloud.endpoint_status(name) == "UpdateRollbackFailed", "the rollback has failed")
    assert cloud.invoke(name)["document"]["model"] == "stuck-1"
    update(cloud, name, cloud.endpoint_config("stuck-3"))
    assert cloud.settled(name)["EndpointConfigName"] == "stuck-3"


def test_failing_ping_of_the_new_container_rolls_back(cloud: Cloud):
    name = "silent"
    cloud.endpoint(name)
    cloud.settled(name)
    cloud.plan({"kind": "failing_ping", "resource": name})
    new = cloud.endpoint_config("silent-2")
    with load(cloud, name) as answers:
        update(cloud, name, new)
        wait_for(lambda: cloud.happened() == [1], "the new container is not healthy")
        described = cloud.settled(name)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert answers[new] == 0


def test_rolling_back_is_a_status_that_is_seen(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url, timing={"rolling_back_seconds": 600.0}) as own:
        own.endpoint("back")
        own.settled("back")
        update(own, "back", own.endpoint_config("back-2", crash=True))
        wait_for(lambda: own.endpoint_status("back") == "RollingBack", "it rolls back")
        assert own.invoke("back")["document"]["model"] == "back-1"
        with pytest.raises(ClientError, match="in-progress"):
            own.sagemaker.delete_endpoint(EndpointName="back")
        own.admin("POST", "clock", {"advance_seconds": 600})
        assert own.settled("back")["EndpointConfigName"] == "back-1"


def test_without_capacity_an_endpoint_fails(cloud: Cloud):
    cloud.plan({"kind": "capacity_error", "resource": "no-machine"})
    cloud.endpoint("no-machine")
    assert "InsufficientInstanceCapacity" in cloud.settled("no-machine")["FailureReason"]


def counts(cloud: Cloud, name: str) -> tuple[int, int]:
    variant = cloud.settled(name)["ProductionVariants"][0]
    return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]


def resize(cloud: Cloud, name: str, count: int) -> None:
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": count}]
    cloud.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)


def test_instances_come_and_go_without_a_failed_request(cloud: Cloud):
    name = "grows"
    cloud.endpoint(name)
    cloud.settled(name)
    with load(cloud, name):
        resize(cloud, name, 3)
        assert counts(cloud, name) == (3, 3)
        pids = {cloud.invoke(name)["document"]["pid"] for _ in range(50)}
        assert len(pids) == 3
        resize(cloud, name, 1)
        assert counts(cloud, name) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 1),
        ({"RetainAllVariantProperties": True}, 2),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}],
            },
            1,
        ),
    ],
)
def test_a_scaled_count_is_kept_only_when_asked_for(cloud: Cloud, arguments: dict, count: int):
    name = f"retains-{len(arguments)}"
    cloud.endpoint(name)
    cloud.settled(name)
    resize(cloud, name, 2)
    assert counts(cloud, name) == (2, 2)
    update(cloud, name, cloud.endpoint_config(f"{name}-2"), **arguments)
    assert counts(cloud, name) == (count, count)
