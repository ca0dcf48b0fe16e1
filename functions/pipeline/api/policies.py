"""The control API's view of what is in service."""

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.aws import served_policies
from pipeline.contracts.api import PolicyDescription, PolicyList
from pipeline.errors import PolicyNotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def list_policies(s3: "S3Client", bucket: str) -> PolicyList:
    """Every policy in service; one that was taken out of service while this looked is left out."""
    found = []
    for name in served_policies.policy_names(s3, bucket):
        with suppress(PolicyNotFoundError):
            found.append(served_policies.read_current(s3, bucket, name))
    return PolicyList(policies=tuple(found))


def describe_policy(s3: "S3Client", bucket: str, policy: str) -> PolicyDescription:
    """What is in service under this name, what it observes and does.

    Raises:
        PolicyNotFoundError: nothing is in service under this name.
    """
    current = served_policies.read_current(s3, bucket, policy)
    return PolicyDescription(**dict(current), spec=served_policies.read_spec(s3, bucket, current))
