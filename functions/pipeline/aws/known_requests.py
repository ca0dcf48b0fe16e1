"""Requests that came with an `Idempotency-Key`, in the runs table: which run each of them has become.

An item beside the runs' own, which no index holds; `#` stands in no run's id. DynamoDB forgets it after a while.
"""

from hashlib import sha256
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.errors import IdempotencyKeyReusedError, ServiceUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_SECONDS = 30 * 24 * 3600


class KeyedRequest(Contract):
    """A request and its key, neither in plain words."""

    key_sha256: str
    request_sha256: str

    @classmethod
    def of(cls, key: str, request: bytes) -> "KeyedRequest":
        """Of a key as it came, and a request in a form that equal requests share."""
        return cls(key_sha256=sha256(key.encode()).hexdigest(), request_sha256=sha256(request).hexdigest())


class KnownRequests:
    """Methods raise ThrottledError or ServiceUnavailableError when DynamoDB cannot answer."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def find(self, request: KeyedRequest) -> str | None:
        """The run that this request has become; None: its key is new.

        Raises:
            IdempotencyKeyReusedError: the key came with another request before.
        """
        try:
            answer = self._client.get_item(TableName=self._table, Key=_key(request), ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
        item = answer.get("Item")
        if item is None:
            return None
        if item["request_sha256"]["S"] != request.request_sha256:
            raise IdempotencyKeyReusedError("This Idempotency-Key came with another request before.")
        return item["becomes"]["S"]

    def keep(self, request: KeyedRequest, run_id: str, now_epoch: int) -> str:
        """Write down what the request becomes, unless an equal one was quicker: then that one's run.

        Raises:
            IdempotencyKeyReusedError: another request with this key was quicker.
        """
        item = {
            **_key(request),
            "request_sha256": {"S": request.request_sha256},
            "becomes": {"S": run_id},
            "expires_at": {"N": str(now_epoch + KEPT_SECONDS)},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(run_id)")
        except (ClientError, BotoCoreError) as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise translate("DynamoDB", error) from error
            found = self.find(request)
            if found is None:
                raise ServiceUnavailableError("DynamoDB has forgotten a request in this moment.") from error
            return found
        return run_id


def _key(request: KeyedRequest) -> dict[str, dict[str, str]]:
    return {"run_id": {"S": f"request#{request.key_sha256}"}}
