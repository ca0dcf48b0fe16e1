"""SweepEndpoints: take idle endpoints down, and collect what no endpoint uses any more. A schedule calls it."""

from typing import Any

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.observability import event_handler
from pipeline.settings import SweepEndpointsSettings
from pipeline.steps.endpoint_sweeping import EndpointSweeper, SweptEndpoints


@event_handler
def handler(event: dict[str, Any]) -> SweptEndpoints:
    """What was taken down and deleted."""
    settings = SweepEndpointsSettings.from_environment()
    return EndpointSweeper(
        f"sweep-{event['id']}",
        settings.topic_arn,
        settings.resource_prefix,
        clients.hosting(),
        clients.sns(),
        ObjectStore(clients.s3(), settings.bucket_name),
        ServedPolicies(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
    ).sweep()
