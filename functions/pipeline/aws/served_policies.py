"""What is in service, as the bucket tells it: `policies/<policy>/current.json` and the spec that it names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.contracts.policy import CurrentPolicy, PolicySpec
from pipeline.errors import PipelineError, PolicyNotFoundError, ServiceUnavailableError, ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}


def read_current(client: "S3Client", bucket: str, policy: str) -> CurrentPolicy:
    """What is in service under this name.

    Raises:
        PolicyNotFoundError: nothing is.
        ThrottledError, ServiceUnavailableError: S3 could not answer.
    """
    return CurrentPolicy.model_validate_json(_read(client, bucket, f"policies/{policy}/current.json", policy))


def read_spec(client: "S3Client", bucket: str, current: CurrentPolicy) -> PolicySpec:
    """The spec of the version in service.

    Raises:
        PolicyNotFoundError: it is not there.
        ThrottledError, ServiceUnavailableError: S3 could not answer.
    """
    return PolicySpec.model_validate_json(_read(client, bucket, current.spec_key, current.policy))


def policy_names(client: "S3Client", bucket: str) -> Iterator[str]:
    """Names of the policies that are or were in service, in order.

    Raises:
        ThrottledError, ServiceUnavailableError: S3 could not answer.
    """
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="policies/", Delimiter="/"):
            for entry in page.get("CommonPrefixes", []):
                yield entry["Prefix"].removeprefix("policies/").removesuffix("/")
    except (ClientError, BotoCoreError) as error:
        raise _translate(error, "") from error


def _read(client: "S3Client", bucket: str, key: str, policy: str) -> bytes:
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise _translate(error, policy) from error


def _translate(error: ClientError | BotoCoreError, policy: str) -> PipelineError:
    code = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""
    if code in {"NoSuchKey", "404"}:
        return PolicyNotFoundError(f"No policy named {policy!r} is in service.")
    if code in _THROTTLED:
        return ThrottledError(f"S3 asks for a pause: {error}")
    return ServiceUnavailableError(f"S3 failed: {error}")
