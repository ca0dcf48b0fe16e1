"""What is in service, as the bucket tells it: `policies/<policy>/current.json` and the spec that it names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.objects import ObjectStore
from pipeline.aws.translation import translate
from pipeline.contracts.policy import CurrentPolicy, PolicySpec
from pipeline.errors import BuildNotFoundError, PolicyNotFoundError
from pipeline.rules import names

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PREFIX = "policies/"


class ServedPolicies:
    """The policies of one bucket. Methods raise ThrottledError or ServiceUnavailableError when S3 cannot answer."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._objects = ObjectStore(client, bucket)

    def current(self, policy: str) -> CurrentPolicy:
        """What is in service under this name.

        Raises:
            PolicyNotFoundError: nothing is.
        """
        return CurrentPolicy.model_validate_json(self._read(policy, names.policy_key(policy, "current.json")))

    def spec(self, current: CurrentPolicy) -> PolicySpec:
        """The spec of the version in service.

        Raises:
            PolicyNotFoundError: it is not there.
        """
        return PolicySpec.model_validate_json(self._read(current.policy, current.spec_key))

    def names(self) -> Iterator[str]:
        """Names of the policies that are or were in service, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._objects.bucket, Prefix=_PREFIX, Delimiter="/"
        )
        try:
            for page in pages:
                for entry in page.get("CommonPrefixes", []):
                    yield entry["Prefix"].removeprefix(_PREFIX).removesuffix("/")
        except (ClientError, BotoCoreError) as error:
            raise translate("S3", error) from error

    def _read(self, policy: str, key: str) -> bytes:
        try:
            return self._objects.read(key)
        except BuildNotFoundError as error:
            raise PolicyNotFoundError(f"No policy named {policy!r} is in service.") from error
