"""CheckEvaluation: copy the evaluation job's status into the run record until it ends."""

from pipeline.aws import clients
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import JobHandle, JobPoll, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import CheckEvaluationSettings
from pipeline.steps import jobs


@state_handler
def handler(task: Task) -> JobPoll:
    """The job as it is now."""
    settings = CheckEvaluationSettings.from_environment()
    return jobs.check_evaluation(
        task.part("run", RunReference),
        task.part("evaluation", JobHandle),
        task.state,
        settings.poll_min_seconds,
        clients.sagemaker(),
        clients.logs(),
        RunsTable(clients.dynamodb(), settings.runs_table),
    )
