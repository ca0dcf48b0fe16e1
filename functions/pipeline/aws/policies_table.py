"""Policies in DynamoDB: the lease on a policy's deployment, and which version is in service.

The lease covers DecidePromotion to VerifyEndpoint, so that two runs of one policy cannot deploy across one another. It
expires by itself: a run that died without giving it back blocks nobody for good.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.errors import LeaseHeldError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 3 * 3600
"""Longer than a deployment may take (its deadline is two hours)."""


class PoliciesTable:
    """All policies. Methods raise ThrottledError or ServiceUnavailableError when DynamoDB cannot answer."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def acquire_lease(self, policy: str, run_id: str, now_epoch: int) -> None:
        """Take the lease, or keep it if this run has it already.

        Raises:
            LeaseHeldError: another run has it.
        """
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"policy": {"S": policy}},
                UpdateExpression="SET lease_run_id = :run, lease_expires_at = :expiry",
                ConditionExpression=(
                    "attribute_not_exists(lease_run_id) OR lease_run_id = :run OR lease_expires_at < :now"
                ),
                ExpressionAttributeValues={
                    ":run": {"S": run_id},
                    ":now": {"N": str(now_epoch)},
                    ":expiry": {"N": str(now_epoch + LEASE_SECONDS)},
                },
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise LeaseHeldError(f"Another run is deploying the policy {policy}.") from error
            raise translate("DynamoDB", error) from error

    def release_lease(self, policy: str, run_id: str) -> None:
        """Give the lease back; nothing happens if this run does not have it."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"policy": {"S": policy}},
                UpdateExpression="REMOVE lease_run_id, lease_expires_at",
                ConditionExpression="lease_run_id = :run",
                ExpressionAttributeValues={":run": {"S": run_id}},
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise translate("DynamoDB", error) from error

    def version_in_service(self, policy: str) -> str | None:
        """The run whose policy is in service; None if none is."""
        try:
            answer = self._client.get_item(TableName=self._table, Key={"policy": {"S": policy}}, ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
        return answer.get("Item", {}).get("version_in_service", {}).get("S")

    def set_version_in_service(self, policy: str, version: str) -> None:
        """Record what is in service from now on."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"policy": {"S": policy}},
                UpdateExpression="SET version_in_service = :version",
                ExpressionAttributeValues={":version": {"S": version}},
            )
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
