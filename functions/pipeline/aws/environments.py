"""The mirror of environments in the stack's bucket: an entry for each, a JSON document."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.environments import RegistryEntry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST = 1000
_ABSENT = {"NoSuchKey", "404"}
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict"}


class EnvironmentMirror:
    """Methods raise ThrottledError or ServiceUnavailableError when S3 cannot answer."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def entries(self) -> tuple[RegistryEntry, ...]:
        """All, by id."""
        found = (self.find(environment) for environment in self._listed())
        return tuple(entry for entry in found if entry is not None)

    def find(self, environment: str) -> RegistryEntry | None:
        """One; None: it is not mirrored."""
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(environment))["Body"].read()
        except (ClientError, BotoCoreError) as error:
            if error_code(error) in _ABSENT:
                return None
            raise translate("S3", error) from error
        return RegistryEntry.model_validate_json(body)

    def keep(self, entry: RegistryEntry, *, replace: bool) -> RegistryEntry:
        """Write an entry, and answer the one that is there now: without `replace`, whichever was written first."""
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(entry.environment),
                Body=entry.model_dump_json(indent=2).encode(),
                ContentType="application/json",
                **condition,  # type: ignore[arg-type]
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) not in _THERE_ALREADY:
                raise translate("S3", error) from error
            return self.find(entry.environment) or entry
        return entry

    def _listed(self) -> list[str]:
        try:
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, Delimiter="/", MaxKeys=MOST)
        except (ClientError, BotoCoreError) as error:
            raise translate("S3", error) from error
        names = (one["Key"].removeprefix(self._prefix) for one in answer.get("Contents", []))
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def _key(self, environment: str) -> str:
        return f"{self._prefix}{environment}.json"
