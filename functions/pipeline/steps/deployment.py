"""DeployEndpoint and CheckEndpoint: create or update the policy's endpoint, then wait for it."""

from typing import TYPE_CHECKING

from pipeline.aws import alarms, endpoints, scaling
from pipeline.aws.clients import HostingClients
from pipeline.aws.endpoints import EndpointDescription, Served
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.run import EndpointRecord
from pipeline.contracts.states import EndpointHandle, EndpointPoll, ExtractedCheckpoint, RunReference
from pipeline.errors import (
    DeadlineExceededError,
    DeploymentFailedError,
    NotYetConsistentError,
    PipelineError,
    RunEndedError,
)
from pipeline.rules import names
from pipeline.rules.rollouts import Rollout, kept_count, rollout
from pipeline.rules.statuses import Outlook, endpoint_outlook
from pipeline.rules.waiting import wait_seconds
from pipeline.settings import DeployEndpointSettings
from pipeline.steps.records import check_wanted, entered, now

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

DEADLINE_SECONDS = 2 * 3600
_VISIBLE_SECONDS = 300
"""SageMaker may not tell of an endpoint yet that it has just created."""


def deploy_endpoint(
    run: RunReference,
    checkpoint: ExtractedCheckpoint,
    state: str,
    settings: DeployEndpointSettings,
    clients: HostingClients,
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
) -> EndpointHandle:
    """Put the artifact where policies are served from, and an endpoint in front of it.

    Raises:
        LeaseHeldError: the lease was lost to another run.
        DeploymentFailedError: the endpoint's name is in use by something that is none of this policy's.
        NotYetConsistentError: a failed endpoint is being deleted, or SageMaker does not see the config yet.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: SageMaker does not take it.
    """
    policies.acquire_lease(run.policy, run.run_id, int(now().timestamp()))
    hosting = runs.update(run.run_id, lambda known: entered(known, state)).options.endpoint
    artifact_key = names.policy_key(run.policy, f"{run.version}/model.tar.gz")
    objects.copy(checkpoint.serving_artifact_key, artifact_key)
    objects.copy(checkpoint.spec_key, names.policy_key(run.policy, f"{run.version}/policy_spec.json"))
    version_name = names.version_name(settings.resource_prefix, run.policy, run.version, hosting.mode)
    served = Served(
        model_name=version_name,
        config_name=version_name,
        image_uri=settings.inference_image_uri,
        artifact_uri=f"s3://{run.bucket}/{artifact_key}",
        role_arn=settings.endpoint_role_arn,
        tags=names.tags(settings.resource_prefix, run.policy, run.version),
        hosting=hosting,
        kms_key_arn=settings.kms_key,
    )
    refused = endpoints.create_config(clients.sagemaker, served)
    name = names.endpoint_name(settings.resource_prefix, run.policy, hosting.mode)
    previous = _bring_into_service(run, name, served, state, settings, clients, runs, refused)
    _take_back_if_unwanted(run, runs)
    started = int(now().timestamp())
    return EndpointHandle(
        endpoint_name=name,
        config_name=version_name,
        previous_config_name=previous,
        created=previous is None,
        wait_seconds=settings.poll_min_seconds,
        started_at_epoch=started,
        deadline_epoch=started + DEADLINE_SECONDS,
    )


def _take_back_if_unwanted(run: RunReference, runs: RunsTable) -> None:
    """A run that was cancelled just now left an endpoint that was not there yet: the sweeper is told of it."""
    try:
        check_wanted(runs.get(run.run_id))
    except RunEndedError:
        runs.update(run.run_id, lambda known: known.model_copy(update={"cleanup_pending": True, "updated_at": now()}))
        raise


def _bring_into_service(
    run: RunReference,
    name: str,
    served: Served,
    state: str,
    settings: DeployEndpointSettings,
    clients: HostingClients,
    runs: RunsTable,
    refused: str,
) -> str | None:
    """Create the endpoint, or move it to the served config; returns the config that it had before."""
    before = endpoints.describe(clients.sagemaker, name)
    if before is not None and not names.are_of_one_policy(before.config_name, served.config_name):
        raise DeploymentFailedError(
            f"The name {name} is in use by an endpoint that serves {before.config_name}, which is none of ours.",
            "Delete that endpoint, or deploy the stack with another Stage; then redrive the run.",
        )
    if before is not None and before.status == "Failed":  # can only be deleted (SageMaker)
        endpoints.take_down(clients, name)
        raise NotYetConsistentError(f"The endpoint {name} had failed and is being deleted first.")
    if before is not None and before.status == "Deleting":  # a policy that is woken while it falls asleep, say
        raise NotYetConsistentError(f"The endpoint {name} is being deleted, and is made anew once it is gone.")
    # First the record, then the endpoint: FinishRun takes back what is written there. A second try of this state finds
    # the endpoint changed already and keeps what the first has written.
    config = (before.pending_config_name or before.config_name) if before else None
    record = EndpointRecord(
        name=name,
        config_name=served.config_name,
        status="Updating" if before else "Creating",
        previous_config_name=config,
    )
    known = runs.get(run.run_id).endpoint
    if known is None or config != served.config_name:
        known = record
        runs.update(run.run_id, lambda found: entered(found, state, endpoint=record))
    try:
        if before is None:
            _end_scaling_unless_it_may_stay(name, None, served, clients)
            _watch(name, served, settings, clients)
            endpoints.create(clients.sagemaker, name, served)
        elif config != served.config_name:
            _update(run, before, served, settings, clients)
    except NotYetConsistentError as error:
        raise (NotYetConsistentError(f"{error.cause} (before that: {refused})") if refused else error) from error
    return known.previous_config_name


def _update(
    run: RunReference,
    before: EndpointDescription,
    served: Served,
    settings: DeployEndpointSettings,
    clients: HostingClients,
) -> None:
    kept = kept_count(served.hosting, before.instance_count)
    _end_scaling_unless_it_may_stay(before.name, before, served, clients)
    endpoints.update(
        clients.sagemaker,
        before.name,
        served.config_name,
        _rollout(run, before, served, kept or served.hosting.instance_count, settings, clients),
        keep_count=kept is not None or served.hosting.mode != "realtime",
    )


def _rollout(
    run: RunReference,
    before: EndpointDescription,
    served: Served,
    instance_count: int,
    settings: DeployEndpointSettings,
    clients: HostingClients,
) -> Rollout | None:
    """Taken back by alarms, but not a version that somebody brings back: they may ring for the one that it replaces."""
    if served.hosting.mode != "realtime" or run.serves is not None:
        _watch(before.name, served, settings, clients)
        return None
    ringing = alarms.ringing(clients.cloudwatch, names.alarms(before.name))
    watching = _watch(before.name, served, settings, clients)
    return rollout(instance_count, settings.bake_seconds, [name for name in watching if name not in ringing])


def _watch(name: str, served: Served, settings: DeployEndpointSettings, clients: HostingClients) -> tuple[str, ...]:
    """Have the operators told of errors and latency, of an endpoint of either mode; answers the alarms' names."""
    latency_ms = served.hosting.max_latency_ms
    return alarms.put(clients.cloudwatch, name, latency_ms, settings.operators_topic_arn, served.tags)


def _end_scaling_unless_it_may_stay(
    name: str, before: EndpointDescription | None, served: Served, clients: HostingClients
) -> None:
    """Autoscaling goes on over an update, but SageMaker refuses another instance type while it does.

    VerifyEndpoint begins it (anew), and FinishRun after an update that failed.
    """
    if served.hosting.mode != "realtime":
        return
    same_type = (
        before is not None
        and served.hosting.is_scaled
        and endpoints.instance_type(clients.sagemaker, before.config_name) == served.hosting.instance_type
    )
    if not same_type:
        scaling.deregister(clients.autoscaling, name)


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
        NotYetConsistentError: SageMaker does not tell of it yet.
        DeploymentFailedError: it failed, is gone, or SageMaker rolled it back to the former config.
        DeadlineExceededError: it takes longer than two hours.
    """
    found = endpoints.describe(sagemaker, handle.endpoint_name)
    if found is None:
        raise _missing(handle)
    record = EndpointRecord(
        name=handle.endpoint_name,
        config_name=handle.config_name,
        status=found.status,
        previous_config_name=handle.previous_config_name,
    )
    runs.update(run.run_id, lambda known: entered(known, state, endpoint=record))
    outlook = endpoint_outlook(found.status)
    if outlook is Outlook.FAILED or (outlook is Outlook.DONE and found.config_name != handle.config_name):
        raise _failed(found, handle)
    moment = now().timestamp()
    if outlook is Outlook.WAIT and moment > handle.deadline_epoch:
        raise DeadlineExceededError(
            f"The endpoint {handle.endpoint_name} is still {found.status} after {DEADLINE_SECONDS} s.",
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


def _missing(handle: EndpointHandle) -> PipelineError:
    if handle.created and now().timestamp() - handle.started_at_epoch < _VISIBLE_SECONDS:
        return NotYetConsistentError(f"SageMaker knows no endpoint {handle.endpoint_name} yet.", "Redrive the run.")
    return DeploymentFailedError(f"The endpoint {handle.endpoint_name} was deleted meanwhile.", "Redrive the run.")


def _failed(found: EndpointDescription, handle: EndpointHandle) -> DeploymentFailedError:
    log = f"/aws/sagemaker/Endpoints/{handle.endpoint_name}"
    if found.status == "InService":
        return DeploymentFailedError(
            f"SageMaker rolled the update of the endpoint {handle.endpoint_name} back, and the former version stays in "
            f"service: {found.failure_reason or 'no reason was given'}",
            "More than 1 % of the answers were errors, or they took longer than endpoint.max_latency_ms, or the new "
            f"container did not start: the log {log} and the endpoint's alarms tell. Mend it, and redrive the run.",
        )
    return DeploymentFailedError(
        f"The endpoint {handle.endpoint_name} did not come into service ({found.status}): "
        f"{found.failure_reason or 'no reason was given'}",
        f"Its log tells why: {log}.",
    )
