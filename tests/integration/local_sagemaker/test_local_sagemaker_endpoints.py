"""Endpoints as real processes: creation, invocation, blue/green update, rollback, crashes, limits, deletion."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.aws.endpoint_metrics import points
from pipeline.rules.traffic import STATISTICS, periods
from tests.fakes.sagemaker_cloud import IMAGE, ROLE, Cloud, service
from tests.fakes.waiting import wait_for


def error_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_endpoint_comes_into_service_answers_and_goes(cloud: Cloud):
    cloud.endpoint("whole")
    described = cloud.settled("whole")
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == "whole-1"
    variant = described["ProductionVariants"][0]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE

    answer = cloud.invoke("whole", {"environment": True}, Accept="application/json", CustomAttributes="of the client")
    said = answer["document"]
    assert said["model"] == "whole-1"
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "from the container"
    assert said["headers"]["accept"] == "application/json"
    assert said["headers"]["x-amzn-sagemaker-custom-attributes"] == "of the client"
    assert not {name for name in said["headers"] if "authorization" in name or name.startswith("x-amz-")}
    assert not {name for name in said["environment"] if name.startswith("AWS_")}

    cloud.sagemaker.delete_endpoint(EndpointName="whole")
    wait_for(lambda: not exists(cloud, "whole"), "it is gone")
    assert not psutil.pid_exists(said["pid"])
    with pytest.raises(ClientError) as caught:
        cloud.invoke("whole")
    assert error_of(caught) == ("ValidationError", "Endpoint whole of account 000000000000 not found.", 400)
    with pytest.raises(ClientError) as caught:
        cloud.endpoint_status("whole")
    arn = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/whole"
    assert error_of(caught) == ("ValidationException", f'Could not find endpoint "{arn}".', 400)
    cloud.sagemaker.create_endpoint(EndpointName="whole", EndpointConfigName="whole-1")
    assert cloud.settled("whole")["EndpointStatus"] == "InService"


def exists(cloud: Cloud, name: str) -> bool:
    try:
        cloud.endpoint_status(name)
    except ClientError:
        return False
    return True


def test_its_log_and_metrics_reach_the_emulator(cloud: Cloud):
    cloud.endpoint("measured")
    cloud.settled("measured")
    for _ in range(3):
        cloud.invoke("measured")
    for status in (400, 500):
        with pytest.raises(cloud.runtime.exceptions.ModelError):
            cloud.invoke("measured", {"status": status, "text": ""})

    def total(metric: str, statistic: str = "Sum") -> float | None:
        answer = cloud.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": "measured"}, {"Name": "VariantName", "Value": "AllTraffic"}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=86_400,
            Statistics=[statistic],
        )
        points = answer["Datapoints"]
        return points[0][statistic] if points else None

    wait_for(lambda: total("Invocations") == 5.0, "Invocations are counted")
    wait_for(lambda: total("Invocation4XXErrors") == 1.0, "4XX errors are counted")
    wait_for(lambda: total("Invocation5XXErrors") == 1.0, "5XX errors are counted")
    wait_for(lambda: total("ModelLatency", "SampleCount") == 5.0, "latencies are counted")
    found = points(cloud.cloudwatch, "measured", STATISTICS, periods("7d", datetime.now(UTC)))
    told = {name: sum(values.values()) for name, values in found.items()}
    assert (told["invocations"], told["errors_4xx"], told["errors_5xx"]) == (5.0, 1.0, 1.0)
    assert 0 < told["latency_ms_p50"] <= told["latency_ms_p99"]
    group = "/aws/sagemaker/Endpoints/measured"
    wait_for(lambda: any("GET /ping" in line for line in cloud.log_lines(group, "AllTraffic/")), "the log is there")


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (422, "client"), (500, "server"), (503, "server")])
def test_a_containers_error_is_a_model_error(cloud: Cloud, shared: str, status: int, kind: str):
    with pytest.raises(cloud.runtime.exceptions.ModelError) as caught:
        cloud.invoke(shared, {"status": status, "text": '{"detail": "no"}'})
    code, message, http_status = error_of(caught)
    assert (code, http_status) == ("ModelError", 424)
    assert f'Received {kind} error ({status}) from primary with message "{{"detail": "no"}}"' in message
    response = caught.value.response
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, '{"detail": "no"}')


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> str:
    cloud.endpoint("shared")
    cloud.settled("shared")
    return "shared"


def test_the_real_time_limit_is_6_mib(cloud: Cloud, shared: str):
    def send(size: int) -> dict:
        answer = cloud.runtime.invoke_endpoint(EndpointName=shared, Body=b"x" * size, ContentType="text/plain")
        return json.loads(answer["Body"].read())

    assert send(6_291_456)["size_bytes"] == 6_291_456
    with pytest.raises(ClientError) as caught:
        send(6_291_457)
    assert error_of(caught) == ("413", "HTTP content length exceeded 6291456 bytes.", 413)
    assert send(1)["size_bytes"] == 1


def test_a_name_that_is_none_is_refused_before_it_is_looked_up(cloud: Cloud):
    with pytest.raises(ClientError, match="regular expression") as caught:
        cloud.invoke("a_b")
    assert error_of(caught)[0] == "ValidationError"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"TargetVariant": "Other"}, "ValidationError"), ({"TargetModel": "m"}, "NotImplementedLocally")],
)
def test_a_target_that_is_not_there(cloud: Cloud, shared: str, arguments: dict, code: str):
    with pytest.raises(ClientError) as caught:
        cloud.invoke(shared, **arguments)
    assert error_of(caught)[0] == code


def test_a_serverless_endpoint_has_limits_of_its_own(cloud: Cloud, tmp_path: Path):
    cloud.endpoint("serverless", serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 1})
    variant = cloud.settled("serverless")["ProductionVariants"][0]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    assert "CurrentInstanceCount" not in variant
    with pytest.raises(ClientError, match="has oversize body") as caught:
        cloud.runtime.invoke_endpoint(EndpointName="serverless", Body=b"x" * (4 * 1024 * 1024 + 1))
    assert error_of(caught)[0] == "ValidationError"

    gate = tmp_path / "gate"
    answers: list[dict] = []
    waiting = threading.Thread(target=lambda: answers.append(cloud.invoke("serverless", {"wait_for": str(gate)})))
    waiting.start()
    wait_for(lambda: Path(f"{gate}.begun").exists(), "the first request is being answered")
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        cloud.invoke("serverless")
    assert error_of(caught)[::2] == ("ThrottlingException", 429)
    gate.touch()
    waiting.join()
    assert len(answers) == 1
    assert cloud.invoke("serverless")["document"]["model"] == "serverless-1"


def test_an_update_loses_no_request(cloud: Cloud, tmp_path: Path):
    cloud.endpoint("updated")
    cloud.settled("updated")
    old_pid = cloud.invoke("updated")["document"]["pid"]
    gate = tmp_path / "gate"
    answered: list[str] = []
    failed: list[Exception] = []
    done = threading.Event()

    def ask_on_and_on() -> None:
        while not done.is_set():
            ask({})

    def ask(order: dict) -> None:
        try:
            answered.append(cloud.invoke("updated", order)["document"]["model"])
        except Exception as error:
            failed.append(error)

    slow = threading.Thread(target=ask, args=({"wait_for": str(gate)},))
    busy = [threading.Thread(target=ask_on_and_on) for _ in range(3)]
    for thread in (slow, *busy):
        thread.start()
    wait_for(lambda: Path(f"{gate}.begun").exists(), "a slow request is under way")
    cloud.endpoint_config("updated-2")
    cloud.sagemaker.update_endpoint(
        EndpointName="updated", EndpointConfigName="updated-2", RetainAllVariantProperties=True
    )
    described = cloud.sagemaker.describe_endpoint(EndpointName="updated")
    if described["EndpointStatus"] == "Updating":
        assert described["EndpointConfigName"] == "updated-1"
        assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "updated-2"
    assert cloud.settled("updated")["EndpointConfigName"] == "updated-2"
    wait_for(lambda: answered and answered[-1] == "updated-2", "the new model answers")
    assert psutil.pid_exists(old_pid), "the old container still has a request to answer"
    gate.touch()
    slow.join()
    done.set()
    for thread in busy:
        thread.join()
    assert failed == []
    assert {"updated-1", "updated-2"} == set(answered)
    wait_for(lambda: not psutil.pid_exists(old_pid), "the old container has ended")


@pytest.mark.parametrize("broken", [{"crash": True}, {"ping": 500}])
def test_an_update_that_fails_leaves_the_old_one_serving(emulator_url: str, tmp_path: Path, broken: dict):
    enough = 8.0  # on a busy machine for those that start; the one that never does costs as much
    with service(tmp_path, emulator_url, timing={"startup_timeout_seconds": enough}) as own:
        own.endpoint("kept")
        own.settled("kept")
        pid = own.invoke("kept")["document"]["pid"]
        own.endpoint_config("kept-2", **broken)
        own.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="kept-2")
        assert own.invoke("kept")["document"]["pid"] == pid
        described = own.settled("kept")
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "kept-1")
        assert "did not pass the ping health check" in described["FailureReason"]
        assert "PendingDeploymentSummary" not in described
        assert own.invoke("kept")["document"]["pid"] == pid
        own.endpoint_config("kept-3")
        own.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="kept-3")
        described = own.settled("kept")
        assert described["EndpointConfigName"] == "kept-3"
        assert "FailureReason" not in described


def test_an_endpoint_that_fails_can_only_be_deleted(cloud: Cloud):
    cloud.endpoint("failed", crash=True)
    described = cloud.settled("failed")
    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    group, why = "/aws/sagemaker/Endpoints/failed", "this model cannot be loaded"
    wait_for(lambda: why in cloud.log_lines(group), "its log is there")
    cloud.endpoint_config("failed-2")
    with pytest.raises(ClientError, match="can only be deleted"):
        cloud.sagemaker.update_endpoint(EndpointName="failed", EndpointConfigName="failed-2")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        cloud.sagemaker.create_endpoint(EndpointName="failed", EndpointConfigName="failed-2")
    cloud.sagemaker.delete_endpoint(EndpointName="failed")
    cloud.sagemaker.create_endpoint(EndpointName="failed", EndpointConfigName="failed-2")
    assert cloud.settled("failed")["EndpointStatus"] == "InService"


def test_model_data_that_is_not_there_fails_the_endpoint(cloud: Cloud):
    model = {"Image": IMAGE, "ModelDataUrl": "s3://sagemaker-tests/none/model.tar.gz"}
    cloud.sagemaker.create_model(ModelName="no-data", ExecutionRoleArn=ROLE, PrimaryContainer=model)
    variant = {"VariantName": "v", "ModelName": "no-data", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    cloud.sagemaker.create_endpoint_config(EndpointConfigName="no-data", ProductionVariants=[variant])
    cloud.sagemaker.create_endpoint(EndpointName="no-data", EndpointConfigName="no-data")
    described = cloud.settled("no-data")
    assert described["EndpointStatus"] == "Failed"
    assert "none/model.tar.gz" in described["FailureReason"]


def test_a_container_that_dies_is_started_again(cloud: Cloud):
    cloud.endpoint("dies")
    cloud.settled("dies")
    before = cloud.invoke("dies")["document"]["pid"]
    with pytest.raises(cloud.runtime.exceptions.ModelError) as caught:
        cloud.invoke("dies", {"die": True})
    assert caught.value.response["OriginalStatusCode"] == 0

    def answers() -> int:
        try:
            return int(cloud.invoke("dies")["document"]["pid"])
        except (cloud.runtime.exceptions.ServiceUnavailable, cloud.runtime.exceptions.ModelError):
            return 0

    assert wait_for(answers, "it answers again") != before
    group = "/aws/sagemaker/Endpoints/dies"
    wait_for(lambda: any("has ended by itself" in line for line in cloud.log_lines(group)), "its log tells why")


def test_what_names_what_must_be_there(cloud: Cloud):
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        cloud.sagemaker.create_endpoint(EndpointName="nothing", EndpointConfigName="nothing")
    variant = {"VariantName": "v", "ModelName": "nothing", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="Could not find model"):
        cloud.sagemaker.create_endpoint_config(EndpointConfigName="nothing", ProductionVariants=[variant])
    for call in (cloud.sagemaker.delete_endpoint, cloud.sagemaker.describe_endpoint):
        with pytest.raises(ClientError, match='Could not find endpoint "arn:'):
            call(EndpointName="nothing")


def test_models_and_configs_are_made_once_and_may_go_while_they_serve(cloud: Cloud):
    cloud.endpoint("lasting")
    cloud.settled("lasting")
    model = cloud.sagemaker.describe_model(ModelName="lasting-1")
    config = cloud.sagemaker.describe_endpoint_config(EndpointConfigName="lasting-1")
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        cloud.sagemaker.create_model(
            ModelName="lasting-1", ExecutionRoleArn=ROLE, PrimaryContainer=model["PrimaryContainer"]
        )
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        cloud.sagemaker.create_endpoint_config(
            EndpointConfigName="lasting-1", ProductionVariants=config["ProductionVariants"]
        )
    cloud.sagemaker.delete_endpoint_config(EndpointConfigName="lasting-1")
    cloud.sagemaker.delete_model(ModelName="lasting-1")
    assert cloud.invoke("lasting")["document"]["model"] == "lasting-1"
    with pytest.raises(ClientError, match="Could not find model"):
        cloud.sagemaker.describe_model(ModelName="lasting-1")


def test_tags_stay_with_their_resource(cloud: Cloud):
    config = cloud.endpoint_config("tagged")
    created = cloud.sagemaker.create_endpoint(
        EndpointName="tagged", EndpointConfigName=config, Tags=[{"Key": "project", "Value": "gamedojo"}]
    )
    arn = created["EndpointArn"]
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "project", "Value": "other"}, {"Key": "é", "Value": ""}])
    assert cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "project", "Value": "other"},
        {"Key": "é", "Value": ""},
    ]
    cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["é", "never"])
    assert cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "project", "Value": "other"}]
    with pytest.raises(ClientError, match="at most 50"):
        cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    with pytest.raises(ClientError, match="Could not find resource"):
        cloud.sagemaker.list_tags(ResourceArn=f"{arn}-not")
    cloud.settled("tagged")


def test_while_it_changes_it_cannot_be_changed_again(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url, timing={"startup_timeout_seconds": 60.0}) as own:
        own.endpoint("busy", ping=503)
        for call in (
            lambda: own.sagemaker.delete_endpoint(EndpointName="busy"),
            lambda: own.sagemaker.update_endpoint(EndpointName="busy", EndpointConfigName="busy-1"),
        ):
            with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
                call()
        with pytest.raises(ClientError, match="Endpoint busy of account 000000000000 not found"):
            own.invoke("busy")


def test_an_instance_based_endpoint_stays_one(cloud: Cloud, shared: str):
    config = cloud.endpoint_config("shared-serverless", serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 1})
    with pytest.raises(ClientError, match="cannot be updated to a serverless one"):
        cloud.sagemaker.update_endpoint(EndpointName=shared, EndpointConfigName=config)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"InstanceType": "ml.m5.large"}, "InitialInstanceCount"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}, "MemorySizeInMB"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 201}}, "200"),
        (
            {"InstanceType": "ml.m5.large", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}},
            "InstanceType cannot",
        ),
        ({"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "EnableSSMAccess": True}, "EnableSSMAccess"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(cloud: Cloud, shared: str, variant: dict, message: str):
    with pytest.raises(ClientError, match=message):
        cloud.sagemaker.create_endpoint_config(
            EndpointConfigName="refused", ProductionVariants=[{"VariantName": "v", "ModelName": "shared-1", **variant}]
        )
