"""What is in service, as the bucket tells it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.policy_documents import PolicyDocuments
from pipeline.aws.translation import translate
from pipeline.contracts.policy import CurrentPolicy, PolicySpec

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PREFIX = "policies/"


class ServedPolicies:
    """The policies of one bucket. Methods raise ThrottledError or ServiceUnavailableError when S3 cannot answer."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._documents = PolicyDocuments(client, bucket)

    def current(self, policy: str) -> CurrentPolicy:
        """What is in service under this name.

        Raises:
            PolicyNotFoundError: nothing is.
        """
        return CurrentPolicy.model_validate_json(self._documents.current(policy))

    def spec(self, current: CurrentPolicy) -> PolicySpec:
        """The spec of the version in service.

        Raises:
            PolicyNotFoundError: it is not there.
        """
        return PolicySpec.model_validate_json(self._documents.spec(current.policy, current.spec_key))

    def names(self) -> Iterator[str]:
        """Names of the policies that are or were in service, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=_PREFIX, Delimiter="/"
        )
        try:
            for page in pages:
                for entry in page.get("CommonPrefixes", []):
                    yield entry["Prefix"].removeprefix(_PREFIX).removesuffix("/")
        except (ClientError, BotoCoreError) as error:
            raise translate("S3", error) from error
