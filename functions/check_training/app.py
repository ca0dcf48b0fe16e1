"""CheckTraining: copy the training job's status into the run record until it ends."""

from pipeline.aws import clients
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import JobHandle, JobPoll, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import CheckTrainingSettings
from pipeline.steps import jobs


@state_handler
def handler(task: Task) -> JobPoll:
    """The job as it is now."""
    settings = CheckTrainingSettings.from_environment()
    return jobs.check_training(
        task.part("run", RunReference),
        task.part("training", JobHandle),
        task.state,
        settings.poll_min_seconds,
        clients.sagemaker(),
        clients.logs(),
        RunsTable(clients.dynamodb(), settings.runs_table),
    )
