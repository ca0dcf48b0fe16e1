"""Telling people how a run ended (SNS)."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import translate
from pipeline.contracts.policy import PolicyNotice
from pipeline.contracts.run import RunRecord

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_MAX_SUBJECT_LENGTH = 100  # SNS API reference, Publish


def publish_outcome(client: "SNSClient", topic_arn: str, record: RunRecord) -> None:
    """One message with the outcome in its subject and the record as its body.

    A message whose answer was lost is published again. Its attribute `deduplication_id` is then the same, so that a
    subscriber can tell; SNS itself removes duplicates of FIFO topics only, and those know no e-mail.

    Raises:
        ThrottledError, ServiceUnavailableError: SNS could not answer.
    """
    subject = f"gamedojo: {record.policy} {record.status.value.lower()} ({record.run_id})"
    attributes = {
        "deduplication_id": f"{record.run_id}/{record.execution_arn.rpartition(':')[2]}/{record.status.value}",
        "policy": record.policy,
        "status": record.status.value,
    }
    message = record.model_dump_json(exclude_none=True, exclude={"notified", "cleanup_pending"})
    _publish(client, topic_arn, subject, message, attributes)


def publish_notice(client: "SNSClient", topic_arn: str, notice: PolicyNotice, deduplication_id: str) -> None:
    """The same about a policy beside its runs.

    Raises:
        ThrottledError, ServiceUnavailableError: SNS could not answer.
    """
    attributes = {"deduplication_id": deduplication_id, "policy": notice.policy, "status": notice.status}
    subject = f"gamedojo: {notice.policy} {notice.status.lower()} ({notice.version})"
    _publish(client, topic_arn, subject, notice.model_dump_json(), attributes)


def _publish(client: "SNSClient", topic_arn: str, subject: str, message: str, attributes: dict[str, str]) -> None:
    try:
        client.publish(
            TopicArn=topic_arn,
            Subject=subject[:_MAX_SUBJECT_LENGTH],
            Message=message,
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
        )
    except (ClientError, BotoCoreError) as error:
        raise translate("SNS", error) from error
