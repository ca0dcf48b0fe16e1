"""CheckEndpoint: wait for the endpoint to come into service."""

from pipeline.aws import clients
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import EndpointHandle, EndpointPoll, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import CheckEndpointSettings
from pipeline.steps import deployment


@state_handler
def handler(task: Task) -> EndpointPoll:
    """The endpoint as it is now."""
    settings = CheckEndpointSettings.from_environment()
    return deployment.check_endpoint(
        task.part("run", RunReference),
        task.part("endpoint", EndpointHandle),
        task.state,
        settings.poll_min_seconds,
        clients.sagemaker(),
        RunsTable(clients.dynamodb(), settings.runs_table),
    )
