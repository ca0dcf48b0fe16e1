"""VerifyEndpoint: what was recorded in the evaluation is asked again; only then is the policy the current one."""

from typing import TYPE_CHECKING

from pipeline.aws import scaling
from pipeline.aws.invocations import invoke
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import LEASE_SECONDS, PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.base import Contract
from pipeline.contracts.evaluation import ParityPair, ParityRecord
from pipeline.contracts.policy import CurrentPolicy, ServedVersion
from pipeline.contracts.predict import InvocationRequest
from pipeline.contracts.run import EndpointRecord
from pipeline.contracts.states import EndpointPoll, Promotion, RunReference
from pipeline.errors import DeploymentFailedError, LeaseHeldError, VerificationFailedError
from pipeline.rules import names
from pipeline.rules.parity import differences
from pipeline.steps.records import check_wanted, entered, now

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_SHOWN = 3


class Verified(Contract):
    """How many recorded actions the endpoint gave again."""

    actions_compared: int


def verify_endpoint(
    run: RunReference,
    endpoint: EndpointPoll,
    promotion: Promotion,
    state: str,
    runtime: "SageMakerRuntimeClient",
    autoscaling: "ApplicationAutoScalingClient",
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
) -> Verified:
    """Compare, let the endpoint scale if it shall, make the policy the current one and give the lease back.

    Raises:
        DeploymentFailedError: another run has begun to deploy this policy.
        RunEndedError: the run was cancelled.
        VerificationFailedError: the endpoint serves another version, or answers otherwise than the evaluation did.
        ModelNotReadyError, ModelError, ThrottledError, ServiceUnavailableError: see `pipeline.aws.invocations.invoke`.
        NotYetConsistentError: the endpoint cannot be scaled yet.
    """
    hosting = runs.update(run.run_id, lambda known: entered(known, state)).options.endpoint
    # Whoever has lost the lease must not declare itself the current one; and comparing may take a while.
    _keep_lease(run, policies)
    record = ParityRecord.model_validate_json(objects.read(promotion.parity_key))
    for pair in record.pairs:
        _compare(run, endpoint, pair, runtime)
    check_wanted(runs.get(run.run_id))
    if hosting.is_scaled:
        scaling.register(autoscaling, endpoint.endpoint_name, hosting)
    current = CurrentPolicy(
        policy=run.policy,
        version=run.version,
        endpoint_name=endpoint.endpoint_name,
        spec_key=names.policy_key(run.policy, f"{run.version}/policy_spec.json"),
    )
    objects.write_document(names.policy_key(run.policy, "current.json"), current)
    served = ServedVersion(
        version=run.version,
        run_id=run.run_id,
        at=now(),
        endpoint_name=endpoint.endpoint_name,
        config_name=endpoint.config_name,
    )
    policies.set_in_service(run.policy, served)
    policies.release_lease(run.policy, run.run_id)
    shown = EndpointRecord(
        name=endpoint.endpoint_name,
        config_name=endpoint.config_name,
        status="InService",
        previous_config_name=endpoint.previous_config_name,
    )
    runs.update(run.run_id, lambda known: entered(known, state, endpoint=shown))
    return Verified(actions_compared=sum(len(pair.discrete) for pair in record.pairs))


def _keep_lease(run: RunReference, policies: PoliciesTable) -> None:
    try:
        policies.acquire_lease(run.policy, run.run_id, int(now().timestamp()))
    except LeaseHeldError as error:
        raise DeploymentFailedError(
            f"{error.cause} This run has taken longer with it than its lease of {LEASE_SECONDS // 3600} h.",
            "Redrive the run once the other one is over.",
        ) from error


def _compare(run: RunReference, endpoint: EndpointPoll, pair: ParityPair, runtime: "SageMakerRuntimeClient") -> None:
    request = InvocationRequest(
        behavior=pair.behavior,
        observations=list(pair.observations),
        action_masks=pair.action_masks,
        memory=pair.memory,
    )
    answer = invoke(runtime, endpoint.endpoint_name, request)
    if answer.version != run.version:
        raise VerificationFailedError(
            f"The endpoint {endpoint.endpoint_name} serves version {answer.version}, not {run.version}.",
            "Start the run again.",
        )
    if found := differences(pair, answer):
        raise VerificationFailedError(
            f"The endpoint answers otherwise than the evaluation did for {len(found)} of {len(pair.discrete)} "
            f"observations of behavior {pair.behavior}: {'; '.join(found[:_SHOWN])}.",
            "The former policy stays in service. Deploy training and inference images of one release.",
        )
