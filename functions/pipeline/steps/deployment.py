"""DeployEndpoint and CheckEndpoint: create or update the policy's endpoint, then wait for it."""

from typing import TYPE_CHECKING

from pipeline.aws import endpoints
from pipeline.aws.endpoints import EndpointDescription, Served
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.run import EndpointRecord
from pipeline.contracts.states import EndpointHandle, EndpointPoll, ExtractedCheckpoint, RunReference
from pipeline.errors import DeadlineExceededError, DeploymentFailedError
from pipeline.rules import names
from pipeline.rules.statuses import Outlook, endpoint_outlook
from pipeline.rules.waiting import wait_seconds
from pipeline.settings import DeployEndpointSettings
from pipeline.steps.records import entered, now

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_DEADLINE_SECONDS = 2 * 3600


def deploy_endpoint(
    run: RunReference,
    checkpoint: ExtractedCheckpoint,
    state: str,
    settings: DeployEndpointSettings,
    sagemaker: "SageMakerClient",
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
) -> EndpointHandle:
    """Put the artifact where policies are served from, and an endpoint in front of it.

    Raises:
        LeaseHeldError: the lease was lost to another run.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: SageMaker does not take it.
    """
    policies.acquire_lease(run.policy, run.run_id, int(now().timestamp()))
    hosting = runs.update(run.run_id, lambda known: entered(known, state)).options.endpoint
    artifact_key = names.policy_key(run.policy, f"{run.run_id}/model.tar.gz")
    objects.copy(checkpoint.serving_artifact_key, artifact_key)
    objects.copy(checkpoint.spec_key, names.policy_key(run.policy, f"{run.run_id}/policy_spec.json"))
    version_name = names.version_name(settings.resource_prefix, run.policy, run.run_id, hosting.mode)
    served = Served(
        model_name=version_name,
        config_name=version_name,
        image_uri=settings.inference_image_uri,
        artifact_uri=f"s3://{run.bucket}/{artifact_key}",
        role_arn=settings.endpoint_role_arn,
        run_id=run.run_id,
        policy=run.policy,
        hosting=hosting,
    )
    endpoints.create_config(sagemaker, served)
    endpoint_name = names.endpoint_name(settings.resource_prefix, run.policy, hosting.mode)
    outcome, before = endpoints.bring_into_service(sagemaker, endpoint_name, served)
    status = "Creating" if outcome == "created" else "Updating"
    record = EndpointRecord(name=endpoint_name, config_name=version_name, status=status)
    runs.update(run.run_id, lambda known: entered(known, state, endpoint=record))
    started = int(now().timestamp())
    return EndpointHandle(
        endpoint_name=endpoint_name,
        config_name=version_name,
        previous_config_name=before.config_name if outcome == "updated" and before else None,
        created=outcome == "created",
        wait_seconds=settings.poll_min_seconds,
        started_at_epoch=started,
        deadline_epoch=started + _DEADLINE_SECONDS,
    )


def check_endpoint(
    run: RunReference,
    handle: EndpointHandle,
    state: str,
    poll_min_seconds: int,
    sagemaker: "SageMakerClient",
    runs: RunsTable,
) -> EndpointPoll:
    """Look at the endpoint.

    Raises:
        DeploymentFailedError: it failed, or SageMaker rolled it back to the former config.
        DeadlineExceededError: it takes longer than two hours.
    """
    found = endpoints.describe(sagemaker, handle.endpoint_name)
    if found is None:
        raise DeploymentFailedError(f"The endpoint {handle.endpoint_name} was deleted meanwhile.", "Deploy it again.")
    record = EndpointRecord(name=handle.endpoint_name, config_name=handle.config_name, status=found.status)
    runs.update(run.run_id, lambda known: entered(known, state, endpoint=record))
    outlook = endpoint_outlook(found.status)
    if outlook is Outlook.FAILED or (outlook is Outlook.DONE and found.config_name != handle.config_name):
        raise _failed(found, handle)
    moment = now().timestamp()
    if outlook is Outlook.WAIT and moment > handle.deadline_epoch:
        raise DeadlineExceededError(
            f"The endpoint {handle.endpoint_name} is still {found.status} after {_DEADLINE_SECONDS} s.",
            f"Its log tells why: /aws/sagemaker/Endpoints/{handle.endpoint_name}.",
        )
    known = {name: getattr(handle, name) for name in EndpointHandle.model_fields}
    return EndpointPoll(
        **known
        | {
            "in_service": outlook is Outlook.DONE,
            "wait_seconds": wait_seconds(moment - handle.started_at_epoch, poll_min_seconds),
            "status": found.status,
        }
    )


def _failed(found: EndpointDescription, handle: EndpointHandle) -> DeploymentFailedError:
    reason = found.failure_reason or (
        "SageMaker rolled it back to the former version" if found.status == "InService" else "no reason was given"
    )
    return DeploymentFailedError(
        f"The endpoint {handle.endpoint_name} did not come into service ({found.status}): {reason}",
        f"Its log tells why: /aws/sagemaker/Endpoints/{handle.endpoint_name}.",
    )
