"""DeployEndpoint: create the policy's endpoint, or update it."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import EndpointHandle, ExtractedCheckpoint, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import DeployEndpointSettings
from pipeline.steps import deployment


@state_handler
def handler(task: Task) -> EndpointHandle:
    """The endpoint, and when to look at it first."""
    settings = DeployEndpointSettings.from_environment()
    return deployment.deploy_endpoint(
        task.part("run", RunReference),
        task.part("checkpoint", ExtractedCheckpoint),
        task.state,
        settings,
        clients.hosting(),
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
    )
