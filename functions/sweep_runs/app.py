"""SweepRuns: end the runs whose execution ended without FinishRun, and stop jobs that no run wants any more.

EventBridge calls it when an execution has failed, timed out or been stopped, and by a schedule.
"""

from typing import Any

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.observability import event_handler
from pipeline.settings import SweepRunsSettings
from pipeline.steps.sweeping import Sweeper, Swept, ended_execution


@event_handler
def handler(event: dict[str, Any]) -> Swept:
    """What was ended and stopped."""
    settings = SweepRunsSettings.from_environment()
    sweeper = Sweeper(
        settings.topic_arn,
        settings.resource_prefix,
        clients.hosting(),
        clients.sns(),
        clients.stepfunctions(),
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
        TurnsTable(clients.dynamodb(), settings.turns_table),
    )
    execution_arn = ended_execution(event, settings.state_machine_arn)
    return sweeper.sweep() if execution_arn is None else sweeper.end_execution(execution_arn)
