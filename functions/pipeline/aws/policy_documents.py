"""What the bucket says of what is in service: `policies/<policy>/current.json` and the spec that it names, as JSON."""

from typing import TYPE_CHECKING

from pipeline.aws.objects import ObjectStore
from pipeline.errors import BuildNotFoundError, PolicyNotFoundError
from pipeline.rules import names

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PolicyDocuments:
    """Of one bucket. Methods raise ThrottledError or ServiceUnavailableError when S3 cannot answer."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._objects = ObjectStore(client, bucket)

    def current(self, policy: str) -> bytes:
        """A `CurrentPolicy`: what is in service under this name.

        Raises:
            PolicyNotFoundError: nothing is.
        """
        return self._read(policy, names.policy_key(policy, "current.json"))

    def spec(self, policy: str, key: str) -> bytes:
        """A `PolicySpec`: that of the version in service.

        Raises:
            PolicyNotFoundError: it is not there.
        """
        return self._read(policy, key)

    def _read(self, policy: str, key: str) -> bytes:
        try:
            return self._objects.read(key)
        except BuildNotFoundError as error:
            raise PolicyNotFoundError(f"No policy named {policy!r} is in service.") from error
