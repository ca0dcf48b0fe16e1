"""Run records in DynamoDB.

The record is kept as its JSON text beside the attributes that are searched by. DynamoDB's own numbers would turn floats
into decimals and its maps would mirror the contract a second time; one text is read back exactly as it was written.
`revision` counts writes, so that two writers cannot overwrite one another.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import RUN_ID_PATTERN
from pipeline.contracts.run import RunPage, RunRecord, RunStatus
from pipeline.errors import InvalidRequestError, RunNotFoundError, ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_RECORD_TYPE = "run"
_RUN_ID = re.compile(RUN_ID_PATTERN)
_ATTEMPTS = 5
_FILTERED_PAGE = 100
"""Looked through by one query where a filter chooses: DynamoDB's limit counts what is looked at, not what is found."""
_INDEXES = {"record_type": "by_created", "policy": "by_policy", "build_sha256": "by_build"}
"""By the attribute that they are partitioned by."""


class RunsTable:
    """All runs. Methods raise ThrottledError or ServiceUnavailableError when DynamoDB cannot answer."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def admit(self, record: RunRecord) -> bool:
        """Write a new run, once.

        Returns:
            True when this execution has the run: it was written just now, or by an earlier try of the same execution.
            False when another execution has it.
        """
        try:
            self._client.put_item(
                TableName=self._table,
                Item=_item(record, 0),
                ConditionExpression="attribute_not_exists(run_id)",
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise translate("DynamoDB", error) from error
            return self.get(record.run_id).execution_arn == record.execution_arn
        return True

    def get(self, run_id: str) -> RunRecord:
        """One run.

        Raises:
            RunNotFoundError: no run has this id.
        """
        return self._read(run_id)[0]

    def update(self, run_id: str, change: Callable[[RunRecord], RunRecord]) -> RunRecord:
        """Read, change and write back; anew when somebody else wrote in between.

        Raises:
            RunNotFoundError: no run has this id.
            ThrottledError: others kept writing.
        """
        for _ in range(_ATTEMPTS):
            record, revision = self._read(run_id)
            changed = change(record)
            if changed == record:
                return record
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=_item(changed, revision + 1),
                    ConditionExpression="revision = :known",
                    ExpressionAttributeValues={":known": {"N": str(revision)}},
                )
            except (ClientError, BotoCoreError) as error:
                if error_code(error) != "ConditionalCheckFailedException":
                    raise translate("DynamoDB", error) from error
                continue
            return changed
        raise ThrottledError(f"The record of run {run_id} is being written by others.")

    def list(
        self,
        *,
        policy: str | None = None,
        status: RunStatus | None = None,
        build_sha256: str | None = None,
        limit: int = 20,
        next_token: str | None = None,
    ) -> RunPage:
        """Runs, newest first; with `build_sha256` those of one zip: its way from the upload to the endpoint.

        Raises:
            InvalidRequestError: the token is none of ours, or of another query.
        """
        partition = "build_sha256" if build_sha256 else "policy" if policy else "record_type"
        value = build_sha256 or policy or _RECORD_TYPE
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": _INDEXES[partition],
            "KeyConditionExpression": f"{partition} = :value",
            "ExpressionAttributeValues": {":value": {"S": value}},
            "ScanIndexForward": False,
        }
        chosen = {"status": status.value if status else None, "policy": policy if partition != "policy" else None}
        filters = {name: text for name, text in chosen.items() if text}
        if filters:
            query["FilterExpression"] = " AND ".join(f"#{name} = :{name}" for name in filters)
            query["ExpressionAttributeNames"] = {f"#{name}": name for name in filters}
            query["ExpressionAttributeValues"] |= {f":{name}": {"S": text} for name, text in filters.items()}
        found: list[RunRecord] = []
        position = _decode_token(next_token, partition, value)
        while True:
            wanted = limit - len(found)
            page = query | {"Limit": max(wanted, _FILTERED_PAGE) if filters else wanted}
            if position:
                page["ExclusiveStartKey"] = position
            try:
                answer = self._client.query(**page)
            except (ClientError, BotoCoreError) as error:
                raise translate("DynamoDB", error) from error
            items = answer["Items"]
            found += [RunRecord.model_validate_json(item["document"]["S"]) for item in items[:wanted]]
            position = answer.get("LastEvaluatedKey")
            if len(items) > wanted:  # the next page begins behind what this one shows
                position = {name: items[wanted - 1][name] for name in ("run_id", partition, "created_at")}
            if not position or len(found) >= limit:
                return RunPage(runs=tuple(found), next_token=_encode_token(position) if position else None)

    def open_runs(self) -> Iterator[RunRecord]:
        """Every run that is not over or not cleaned up after, oldest first; the index tells the news late."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "by_open",
            "KeyConditionExpression": "open_run = :value",
            "ExpressionAttributeValues": {":value": {"S": _RECORD_TYPE}},
        }
        while True:
            try:
                answer = self._client.query(**query)
            except (ClientError, BotoCoreError) as error:
                raise translate("DynamoDB", error) from error
            for item in answer["Items"]:
                yield RunRecord.model_validate_json(item["document"]["S"])
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _read(self, run_id: str) -> tuple[RunRecord, int]:
        try:
            answer = self._client.get_item(TableName=self._table, Key={"run_id": {"S": run_id}}, ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise translate("DynamoDB", error) from error
        item = answer.get("Item")
        if item is None:
            raise RunNotFoundError(f"There is no run {run_id!r}.")
        return RunRecord.model_validate_json(item["document"]["S"]), int(item["revision"]["N"])


def _item(record: RunRecord, revision: int) -> dict[str, Any]:
    return {
        "run_id": {"S": record.run_id},
        "record_type": {"S": _RECORD_TYPE},
        "policy": {"S": record.policy},
        "status": {"S": record.status.value},
        "created_at": {"S": record.created_at.isoformat()},
        "revision": {"N": str(revision)},
        "document": {"S": record.model_dump_json()},
    } | {name: {"S": text} for name, text in _sparse(record).items() if text}


def _sparse(record: RunRecord) -> dict[str, str | None]:
    """Attributes that not every run has: an index by one of them holds only those runs."""
    return {"open_run": _RECORD_TYPE if record.is_open else None, "build_sha256": record.build_sha256}


def _encode_token(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _decode_token(token: str | None, partition: str, value: str) -> dict[str, Any] | None:
    """The position that `_encode_token` wrote of a query for what has this value in this attribute.

    DynamoDB refuses a position outside the query, or an empty key, as a fault of whoever calls it: of ours.
    """
    if token is None:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(token))
        run_id, created_at = position["run_id"]["S"], position["created_at"]["S"]
        datetime.fromisoformat(created_at)
        wanted = {"run_id": {"S": run_id}, partition: {"S": value}, "created_at": {"S": created_at}}
        if position == wanted and _RUN_ID.fullmatch(run_id):
            return wanted
    except (ValueError, KeyError, TypeError, RecursionError):  # no base64, no JSON, no such objects, endless depth
        pass
    raise InvalidRequestError(
        "next_token is none that this API gave for this query.",
        "Repeat the query that gave the token, or leave the token out to begin anew.",
    )
