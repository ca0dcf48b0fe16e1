"""Telling people how a run ended (SNS)."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import translate
from pipeline.contracts.run import RunRecord

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_MAX_SUBJECT_LENGTH = 100  # SNS API reference, Publish


def publish_outcome(client: "SNSClient", topic_arn: str, record: RunRecord) -> None:
    """One message with the outcome in its subject and the record as its body.

    Raises:
        ThrottledError, ServiceUnavailableError: SNS could not answer.
    """
    subject = f"gamedojo: {record.policy} {record.status.value.lower()} ({record.run_id})"
    try:
        client.publish(
            TopicArn=topic_arn, Subject=subject[:_MAX_SUBJECT_LENGTH], Message=record.model_dump_json(exclude_none=True)
        )
    except (ClientError, BotoCoreError) as error:
        raise translate("SNS", error) from error
