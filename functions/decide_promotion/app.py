"""DecidePromotion: hold the gate and take the policy's lease, or keep the policy back."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import JobPoll, Promotion, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import DecidePromotionSettings
from pipeline.steps import promotion


@state_handler
def handler(task: Task) -> Promotion:
    """Whether the policy is deployed."""
    settings = DecidePromotionSettings.from_environment()
    return promotion.decide_promotion(
        task.part("run", RunReference),
        task.part("evaluation", JobPoll),
        task.state,
        ObjectStore(clients.s3(), settings.bucket_name),
        RunsTable(clients.dynamodb(), settings.runs_table),
        PoliciesTable(clients.dynamodb(), settings.policies_table),
    )
