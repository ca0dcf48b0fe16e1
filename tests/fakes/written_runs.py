"""Runs and policies that are written into a running cloud as they would stand there, without having been run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.policy import (
    ActionSpec,
    BehaviorSpec,
    CurrentPolicy,
    ObservationSpec,
    PolicySpec,
    ServedVersion,
)
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import RunRecord, RunStatus
from tests.fakes.running_cloud import Cloud


def write_run(cloud: Cloud, run_id: str, policy: str, artifacts: Mapping[str, bytes] | None = None) -> None:
    """A run that was kept, with these artifacts."""
    moment = datetime.now(UTC)
    keys = {name: f"runs/{run_id}/written/{name}" for name in artifacts or {}}
    for name, body in (artifacts or {}).items():
        cloud.drop(keys[name], body)
    record = RunRecord(
        run_id=run_id,
        policy=policy,
        status=RunStatus.KEPT,
        state="FinishRun",
        created_at=moment,
        updated_at=moment,
        finished_at=moment,
        execution_arn=f"arn:aws:states:us-east-1:000000000000:execution:written:{run_id}",
        source_key="uploads/written.zip",
        build_key=f"runs/{run_id}/build.zip",
        options=RunOptions(),
        artifacts=keys,
        notified=True,
    )
    assert RunsTable(cloud.client("dynamodb"), _table(cloud, "RunsTable")).admit(record)


def write_sleeping_policy(cloud: Cloud, policy: str) -> None:
    """A policy whose endpoint is gone and was never asked."""
    version = f"{policy}-0001"
    endpoint, spec_key = f"gamedojo-local-{policy}", f"policies/{policy}/{version}/policy_spec.json"
    behavior = BehaviorSpec(
        name="Quiet",
        onnx="policies/Quiet.onnx",
        observations=(ObservationSpec(name="Sensor", shape=(2,)),),
        actions=ActionSpec(continuous_size=1),
    )
    spec = PolicySpec(policy=policy, version=version, behaviors=(behavior,))
    current = CurrentPolicy(policy=policy, version=version, endpoint_name=endpoint, spec_key=spec_key, asleep=True)
    served = ServedVersion(
        version=version, run_id=version, at=datetime.now(UTC), endpoint_name=endpoint, config_name=f"{endpoint}-1"
    )
    cloud.drop(spec_key, spec.model_dump_json().encode())
    cloud.drop(f"policies/{policy}/current.json", current.model_dump_json().encode())
    PoliciesTable(cloud.client("dynamodb"), _table(cloud, "PoliciesTable")).set_in_service(policy, served)


def put_to_sleep(cloud: Cloud, policy: str) -> None:
    """A policy in service as SweepEndpoints leaves it: nobody is sent to its endpoint, which goes."""
    key = f"policies/{policy}/current.json"
    stored: Any = cloud.client("s3").get_object(Bucket=cloud.connection["bucket"], Key=key)["Body"].read()
    current = CurrentPolicy.model_validate_json(stored)
    cloud.drop(key, current.model_copy(update={"asleep": True}).model_dump_json().encode())
    cloud.sagemaker.delete_endpoint(EndpointName=current.endpoint_name)
    PoliciesTable(cloud.client("dynamodb"), _table(cloud, "PoliciesTable")).set_asleep(policy, datetime.now(UTC))


def _table(cloud: Cloud, name: str) -> str:
    (found,) = (one for one in cloud.client("dynamodb").list_tables()["TableNames"] if name in one)
    return str(found)
