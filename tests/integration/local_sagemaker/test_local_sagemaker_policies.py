"""The pipeline's own steps over the double and the emulator: an alarm takes an update that answers badly back."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.aws import alarms
from pipeline.aws.clients import HostingClients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.request import EndpointRequest, RunOptions
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.contracts.states import EndpointHandle, ExtractedCheckpoint, RunReference
from pipeline.errors import DeploymentFailedError, NotYetConsistentError
from pipeline.rules import names
from pipeline.settings import DeployEndpointSettings
from pipeline.steps import deployment
from tests.fakes.control_stack import OPERATORS
from tests.fakes.expanded_template import resources
from tests.fakes.sagemaker_cloud import BUCKET, IMAGE, QUICK, ROLE, Cloud, client, emulator, model_archive, service
from tests.fakes.waiting import wait_for

PREFIX = "gamedojo-test"
ENDPOINT = "gamedojo-test-alarmed-rt"
_TABLE_PROPERTIES = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One of its own: the emulator's alarms ring for what any endpoint answers."""
    with (
        emulator(tmp_path_factory.mktemp("emulator")) as url,
        service(tmp_path_factory.mktemp("service"), url) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def deployer(cloud: Cloud) -> Any:
    """Deploys a version of the policy "alarmed", and looks at its endpoint."""
    dynamodb = client(cloud.emulator_url, "dynamodb")
    for name in ("RunsTable", "PoliciesTable"):
        table = resources("AWS::DynamoDB::Table")[name]
        dynamodb.create_table(TableName=name, **{key: table[key] for key in _TABLE_PROPERTIES & set(table)})
    hosting = HostingClients(cloud.sagemaker, cloud.cloudwatch, client(cloud.url, "application-autoscaling"))
    runs, policies = RunsTable(dynamodb, "RunsTable"), PoliciesTable(dynamodb, "PoliciesTable")
    objects = ObjectStore(cloud.s3, BUCKET)
    settings = DeployEndpointSettings(
        bucket_name=BUCKET,
        runs_table="RunsTable",
        policies_table="PoliciesTable",
        poll_min_seconds=1,
        resource_prefix=PREFIX,
        inference_image_uri=IMAGE,
        endpoint_role_arn=ROLE,
        operators_topic_arn=OPERATORS,
        kms_key_arn="none",
        bake_seconds=300,
    )

    def deploy(version: str) -> tuple[RunReference, EndpointHandle]:
        run = RunReference(run_id=version, policy="alarmed", bucket=BUCKET, build_key="k")
        runs.admit(_record(version))
        checkpoint = ExtractedCheckpoint(
            checkpoint_prefix="c",
            serving_artifact_key=names.run_key(version, "serving/model.tar.gz"),
            spec_key=names.run_key(version, "policy_spec.json"),
        )
        objects.write(checkpoint.serving_artifact_key, model_archive(version, {}))
        objects.write(checkpoint.spec_key, b"{}")
        handle = deployment.deploy_endpoint(
            run, checkpoint, "DeployEndpoint", settings, hosting, objects, runs, policies
        )
        policies.release_lease("alarmed", version)
        return run, handle

    def check(run: RunReference, handle: EndpointHandle) -> Any:
        return deployment.check_endpoint(run, handle, "CheckEndpoint", 1, cloud.sagemaker, runs)

    return SimpleNamespace(deploy=deploy, check=check)


def _record(version: str) -> RunRecord:
    moment = datetime.now(UTC)
    return RunRecord(
        run_id=version,
        policy="alarmed",
        status=RunStatus.RUNNING,
        state="DecidePromotion",
        created_at=moment,
        updated_at=moment,
        execution_arn=f"arn:aws:states:us-east-1:000000000000:execution:m:{version}",
        source_key="builds/alarmed.zip",
        build_key="k",
        # what is slow here is the machine: no test is about the alarm for it
        options=RunOptions(endpoint=EndpointRequest(mode="realtime", max_latency_ms=60_000)),
    )


def in_service(cloud: Cloud, deployer: Any, run: RunReference, handle: EndpointHandle) -> None:
    def a_minute_later() -> bool:
        a_minute_passes(cloud)
        return bool(deployer.check(run, handle).in_service)

    wait_for(a_minute_later, f"{run.run_id} is in service")


def takes_the_traffic(cloud: Cloud, deployer: Any, run: RunReference, handle: EndpointHandle) -> None:
    def answers() -> bool:
        deployer.check(run, handle)  # raises why it was taken back, if it was
        return model(cloud) == run.run_id

    wait_for(answers, f"{run.run_id} has the traffic")


def model(cloud: Cloud) -> str:
    return str(cloud.invoke(ENDPOINT)["document"]["model"])


def settled(count: Callable[[], float]) -> float:
    """The number once it stays for half a second, ten times what measurements wait before they are published."""
    last, since = count(), time.monotonic()

    def stays() -> bool:
        nonlocal last, since
        if (now := count()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 10 * QUICK["publish_seconds"]

    wait_for(stays, "all that was asked before is counted")
    return last


def a_minute_passes(cloud: Cloud) -> None:
    cloud.admin("POST", "clock", {"advance_seconds": 60})


def ended(deployer: Any, run: RunReference, handle: EndpointHandle) -> Callable[[], DeploymentFailedError | None]:
    def look() -> DeploymentFailedError | None:
        try:
            deployer.check(run, handle)
        except DeploymentFailedError as error:
            return error
        return None

    return look


def test_a_version_that_answers_with_errors_is_taken_back_and_the_next_one_stays(cloud: Cloud, deployer: Any) -> None:
    first = deployer.deploy("alarmed-1")
    in_service(cloud, deployer, *first)
    second = deployer.deploy("alarmed-2")
    takes_the_traffic(cloud, deployer, *second)
    assert not deployer.check(*second).in_service, "it is watched for a while"
    alarm = names.error_alarm(ENDPOINT)

    def fails_and_rings() -> bool:
        # The alarm goes by the share of a minute's invocations that fail, and many have succeeded.
        with contextlib.suppress(ClientError):
            cloud.invoke(ENDPOINT, {"status": 500, "text": "broken"})
        return cloud.cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] == "ALARM"

    wait_for(fails_and_rings, "its errors are measured, and ring")
    a_minute_passes(cloud)
    failure = wait_for(ended(deployer, *second), "the update is taken back")
    assert alarm in failure.cause
    assert "the former version stays in service" in failure.cause
    assert model(cloud) == "alarmed-1"
    third = deployer.deploy("alarmed-3")  # the alarm that rings already is left out
    takes_the_traffic(cloud, deployer, *third)
    in_service(cloud, deployer, *third)
    described = cloud.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    assert described["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"] == [
        {"AlarmName": names.latency_alarm(ENDPOINT)}
    ]


def test_what_an_endpoint_was_asked_is_what_idleness_goes_by(cloud: Cloud, deployer: Any) -> None:
    moment = datetime.now(UTC)
    window = (moment - timedelta(hours=2), moment + timedelta(minutes=5))
    before = settled(lambda: alarms.invocations(cloud.cloudwatch, ENDPOINT, *window))
    for _ in range(3):
        model(cloud)
    asked = lambda: alarms.invocations(cloud.cloudwatch, ENDPOINT, *window) == before + 3  # noqa: E731
    wait_for(asked, "three more invocations are counted")
    assert alarms.invocations(cloud.cloudwatch, "gamedojo-test-nobody-rt", *window) == 0


def test_a_deployment_that_is_tried_again_while_it_bakes_is_the_same_one(cloud: Cloud, deployer: Any) -> None:
    run, handle = deployer.deploy("alarmed-4")
    again = deployer.deploy("alarmed-4")[1]
    assert (again.endpoint_name, again.config_name) == (handle.endpoint_name, handle.config_name)
    assert again.previous_config_name == handle.previous_config_name
    assert again.previous_config_name != again.config_name
    in_service(cloud, deployer, run, again)


def test_an_endpoint_that_is_going_is_waited_for(cloud: Cloud, deployer: Any) -> None:
    cloud.sagemaker.delete_endpoint(EndpointName=ENDPOINT)

    def deployed() -> Any:
        with contextlib.suppress(NotYetConsistentError):
            return deployer.deploy("alarmed-5")
        return None

    run, handle = wait_for(deployed, "the endpoint is made anew")
    in_service(cloud, deployer, run, handle)
    assert handle.created
