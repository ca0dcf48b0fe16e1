"""FinishRun: stop what still runs, take back what failed, write the outcome, notify."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.observability import Task, state_handler
from pipeline.settings import FinishRunSettings
from pipeline.steps import finishing
from pipeline.steps.finishing import Finished


@state_handler
def handler(task: Task) -> Finished:
    """The run's outcome."""
    settings = FinishRunSettings.from_environment()
    return finishing.finish_run(
        task.execution_arn,
        task.document,
        settings.topic_arn,
        clients.hosting(),
        clients.sns(),
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
        TurnsTable(clients.dynamodb(), settings.turns_table),
    )
