"""AWS's clients, made once a process and kept: connections stay open between invocations.

They are those of boto3 without what it adds on top: a function waits for neither its resources nor its transfers to be
imported. Endpoints, region and credentials come from botocore's own environment variables.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_stepfunctions import SFNClient

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=60)

_RUNTIME_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1, read_timeout=25)
"""A game waits for the answer, and API Gateway gives up after 29 s."""

_S3_CONFIG = _CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
"""For presigned URLs: by default botocore signs them by the old version 2 in some regions, and names the global host,
which redirects for a new bucket of another region. An endpoint given by its IP address keeps path style."""


@cache
def _session() -> Session:
    """Credentials, and the description of services that all clients share."""
    return get_session()


def _client(service: str, config: Config) -> Any:
    return _session().create_client(service, config=config)


@cache
def s3() -> "S3Client":
    """Objects."""
    made: S3Client = _client("s3", _S3_CONFIG)
    return made


@cache
def dynamodb() -> "DynamoDBClient":
    """Run records and leases."""
    made: DynamoDBClient = _client("dynamodb", _CONFIG)
    return made


@cache
def sagemaker() -> "SageMakerClient":
    """Jobs, models, endpoints."""
    made: SageMakerClient = _client("sagemaker", _CONFIG)
    return made


@cache
def sagemaker_runtime() -> "SageMakerRuntimeClient":
    """Predictions."""
    made: SageMakerRuntimeClient = _client("sagemaker-runtime", _RUNTIME_CONFIG)
    return made


@cache
def stepfunctions() -> "SFNClient":
    """Executions."""
    made: SFNClient = _client("stepfunctions", _CONFIG)
    return made


@cache
def logs() -> "CloudWatchLogsClient":
    """What jobs print."""
    made: CloudWatchLogsClient = _client("logs", _CONFIG)
    return made


@cache
def sns() -> "SNSClient":
    """Notifications."""
    made: SNSClient = _client("sns", _CONFIG)
    return made


@cache
def cloudwatch() -> "CloudWatchClient":
    """What endpoints measure, and alarms on it."""
    made: CloudWatchClient = _client("cloudwatch", _CONFIG)
    return made


@cache
def application_autoscaling() -> "ApplicationAutoScalingClient":
    """Instances that come and go."""
    made: ApplicationAutoScalingClient = _client("application-autoscaling", _CONFIG)
    return made


@dataclass(frozen=True)
class HostingClients:
    """What an endpoint hangs on: itself, its alarms, its scaling."""

    sagemaker: "SageMakerClient"
    cloudwatch: "CloudWatchClient"
    autoscaling: "ApplicationAutoScalingClient"


def hosting() -> HostingClients:
    """All three."""
    return HostingClients(sagemaker(), cloudwatch(), application_autoscaling())
