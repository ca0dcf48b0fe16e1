"""Policies in DynamoDB: the lease on a policy's deployment, which version is in service, and which were.

The lease covers DecidePromotion to VerifyEndpoint, so that two runs of one policy cannot deploy across one another. It
expires by itself: a run that died without giving it back blocks nobody for good.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.policy import ServedVersion
from pipeline.errors import LeaseHeldError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 3 * 3600
"""Longer than a deployment may take (its deadline is two hours)."""

_HISTORY = TypeAdapter(tuple[ServedVersion, ...])
_REMEMBERED = 200
"""Some 50 KB of the 400 KB that an item may have."""


class PoliciesTable:
    """All policies. Methods raise ThrottledError or ServiceUnavailableError when DynamoDB cannot answer."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def acquire_lease(self, policy: str, run_id: str, now_epoch: int, seconds: int = LEASE_SECONDS) -> None:
        """Take the lease, or keep it if this run has it already; it is good for so long.

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
                    ":expiry": {"N": str(now_epoch + seconds)},
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
        found: str | None = self._item(policy).get("version_in_service", {}).get("S")
        return found

    def version_awake(self, policy: str) -> str | None:
        """The run whose policy is in service, with an endpoint; None if none is."""
        item = self._item(policy)
        found: str | None = item.get("version_in_service", {}).get("S")
        known = _read_history(item)
        return found if not known or known[-1].asleep_since is None else None

    def history(self, policy: str) -> tuple[ServedVersion, ...]:
        """What was in service, oldest first, as far as it is remembered; the last one is, unless it was deleted."""
        return _read_history(self._item(policy))

    def set_in_service(self, policy: str, served: ServedVersion) -> None:
        """Record what is in service from now on. Whoever calls has the lease; a call that is repeated adds nothing."""
        known = self.history(policy)
        if not known or (known[-1].version, known[-1].run_id) != (served.version, served.run_id):
            known = (*known, served)[-_REMEMBERED:]
        self._update(
            policy,
            "SET version_in_service = :version, history = :history",
            {":version": {"S": served.version}, ":history": {"S": _HISTORY.dump_json(known).decode()}},
        )

    def set_asleep(self, policy: str, moment: datetime) -> None:
        """Record that the endpoint of what is in service was taken down. Whoever calls has the lease."""
        *before, last = self.history(policy)
        known = (*before, last.model_copy(update={"asleep_since": moment}))
        self._update(policy, "SET history = :history", {":history": {"S": _HISTORY.dump_json(known).decode()}})

    def take_out_of_service(self, policy: str) -> None:
        """Nothing of this policy is in service any more; its history stays."""
        self._update(policy, "REMOVE version_in_service", {})

    def forget(self, policy: str) -> None:
        """The policy's history goes, too."""
        self._update(policy, "REMOVE history", {})

    def _update(self, policy: str, expression: str, values: dict[str, Any]) -> None:
        named: Any = {"ExpressionAttributeValues": values} if values else {}
        try:
            self._client.update_item(
                TableName=self._table, Key={"policy": {"S": policy}}, UpdateExpression=expression, **named
            )
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error

    def _item(self, policy: str) -> dict[str, Any]:
        try:
            answer = self._client.get_item(TableName=self._table, Key={"policy": {"S": policy}}, ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
        return dict(answer.get("Item", {}))


def _read_history(item: dict[str, Any]) -> tuple[ServedVersion, ...]:
    text = item.get("history", {}).get("S")
    return _HISTORY.validate_json(text) if text else ()
