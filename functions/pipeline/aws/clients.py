"""boto3 clients, made once a process and kept: connections stay open between invocations.

Endpoints, region and credentials come from botocore's own environment variables.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
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
def s3() -> "S3Client":
    """Objects."""
    return boto3.client("s3", config=_S3_CONFIG)


@cache
def dynamodb() -> "DynamoDBClient":
    """Run records and leases."""
    return boto3.client("dynamodb", config=_CONFIG)


@cache
def sagemaker() -> "SageMakerClient":
    """Jobs, models, endpoints."""
    return boto3.client("sagemaker", config=_CONFIG)


@cache
def sagemaker_runtime() -> "SageMakerRuntimeClient":
    """Predictions."""
    return boto3.client("sagemaker-runtime", config=_RUNTIME_CONFIG)


@cache
def stepfunctions() -> "SFNClient":
    """Executions."""
    return boto3.client("stepfunctions", config=_CONFIG)


@cache
def logs() -> "CloudWatchLogsClient":
    """What jobs print."""
    return boto3.client("logs", config=_CONFIG)


@cache
def sns() -> "SNSClient":
    """Notifications."""
    return boto3.client("sns", config=_CONFIG)


@cache
def cloudwatch() -> "CloudWatchClient":
    """What endpoints measure, and alarms on it."""
    return boto3.client("cloudwatch", config=_CONFIG)


@cache
def application_autoscaling() -> Any:
    """Instances that come and go."""
    return boto3.client("application-autoscaling", config=_CONFIG)


@dataclass(frozen=True)
class HostingClients:
    """What an endpoint hangs on: itself, its alarms, its scaling."""

    sagemaker: "SageMakerClient"
    cloudwatch: "CloudWatchClient"
    autoscaling: Any


def hosting() -> HostingClients:
    """All three."""
    return HostingClients(sagemaker(), cloudwatch(), application_autoscaling())
