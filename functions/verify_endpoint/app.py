"""VerifyEndpoint: replay recorded observations; only then is the policy the current one."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import EndpointPoll, Promotion, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import VerifyEndpointSettings
from pipeline.steps import verification
from pipeline.steps.verification import Verified


@state_handler
def handler(task: Task) -> Verified:
    """How many recorded actions the endpoint gave again."""
    settings = VerifyEndpointSettings.from_environment()
    return verification.verify_endpoint(
        task.part("run", RunReference),
        task.part("endpoint", EndpointPoll),
        task.part("promotion", Promotion),
        task.state,
        clients.sagemaker_runtime(),
        clients.application_autoscaling(),
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
    )
