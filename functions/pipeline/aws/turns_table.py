"""The turns in DynamoDB: one item, changed under a revision, so that two runs cannot take the same turn."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.turns import Turns
from pipeline.errors import ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = {"name": {"S": "training"}}
_ATTEMPTS = 5


class TurnsTable:
    """The turns. Methods raise ThrottledError or ServiceUnavailableError when DynamoDB cannot answer."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get(self) -> Turns:
        """What stands there now."""
        return self._read()[0]

    def update(self, change: Callable[[Turns], Turns]) -> Turns:
        """Read, change and write back; anew when somebody else wrote in between.

        Raises:
            ThrottledError: others kept writing.
        """
        for _ in range(_ATTEMPTS):
            turns, revision = self._read()
            changed = change(turns)
            if changed == turns or self._write(changed, revision):
                return changed
        raise ThrottledError("The turns are being written by others.")

    def _read(self) -> tuple[Turns, int]:
        try:
            answer = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
        if "Item" not in answer:
            return Turns(), 0
        return Turns.model_validate_json(answer["Item"]["document"]["S"]), int(answer["Item"]["revision"]["N"])

    def _write(self, turns: Turns, known: int) -> bool:
        item = {"document": {"S": turns.model_dump_json()}, "revision": {"N": str(known + 1)}}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=_KEY | item,
                ConditionExpression="attribute_not_exists(revision) OR revision = :known",
                ExpressionAttributeValues={":known": {"N": str(known)}},
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise translate("DynamoDB", error) from error
        return True
