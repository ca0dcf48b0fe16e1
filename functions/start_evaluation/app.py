"""StartEvaluation: create the evaluation job, which plays the exported policy and the one in service."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import ExtractedCheckpoint, InspectedBuild, JobHandle, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import StartEvaluationSettings
from pipeline.steps import jobs


@state_handler
def handler(task: Task) -> JobHandle:
    """The job, and when to look at it first."""
    settings = StartEvaluationSettings.from_environment()
    return jobs.start_evaluation(
        task.part("run", RunReference),
        task.part("build", InspectedBuild),
        task.part("checkpoint", ExtractedCheckpoint),
        task.state,
        settings,
        settings.evaluation_instance_type,
        clients.sagemaker(),
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
    )
