"""StartTraining: create the training job."""

from pipeline.aws import clients
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import InspectedBuild, JobHandle, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import StartTrainingSettings
from pipeline.steps import jobs


@state_handler
def handler(task: Task) -> JobHandle:
    """The job, and when to look at it first."""
    settings = StartTrainingSettings.from_environment()
    return jobs.start_training(
        task.part("run", RunReference),
        task.part("build", InspectedBuild),
        task.state,
        settings,
        settings.training_instance_type,
        clients.sagemaker(),
        RunsTable(clients.dynamodb(), settings.runs_table),
    )
