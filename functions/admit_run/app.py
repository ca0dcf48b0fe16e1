"""AdmitRun: name the run, refuse a duplicate, keep the very version of the build."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import AdmitRunSettings
from pipeline.steps import admission


@state_handler
def handler(task: Task) -> RunReference:
    """The run, or `duplicate` when another execution has it."""
    settings = AdmitRunSettings.from_environment()
    objects = ObjectStore(clients.s3(), settings.bucket_name)
    runs = RunsTable(clients.dynamodb(), settings.runs_table)
    return admission.begin(task.execution_arn, task.state, task.document, objects, runs)
