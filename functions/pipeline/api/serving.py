"""The control API's policies in service: back to an earlier version, awake again, out of service."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from pipeline.api.runs import ACCEPTED, Runs
from pipeline.aws import clients, endpoints, executions
from pipeline.aws.clients import HostingClients
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.api import DeletedPolicy
from pipeline.contracts.policy import ServedVersion
from pipeline.contracts.run import PromotionDecision, RunRecord, RunStatus
from pipeline.contracts.states import ServeEvent
from pipeline.errors import BuildNotFoundError, ConflictError, PolicyNotFoundError, RunNotFoundError
from pipeline.rules import names
from pipeline.rules.serving import previous_version
from pipeline.settings import ControlWriteSettings

_DELETING = "delete-policy"
"""Holds the lease while a policy is deleted."""


@dataclass(frozen=True)
class Serving:
    """The policies of the stack.

    Every method raises ThrottledError or ServiceUnavailableError when AWS cannot answer; the call may be repeated.
    """

    runs: Runs
    policies: PoliciesTable
    served: ServedPolicies
    hosting: HostingClients

    def rollback(self, policy: str, version: str | None = None) -> RunRecord:
        """Bring the version that was in service before, or the named one of the history, into service again.

        It is a run: deployed and verified as any other, recorded, told of, and cancelled like one. The same call again
        names the same run until that has ended.

        Raises:
            PolicyNotFoundError: nothing of this name is in service.
            ConflictError: there is no such version to go back to, or its files are gone.
        """
        history = self._history(policy)
        target = previous_version(policy, history, version)
        reason = f"Brought back by request, in place of {history[-1].version}."
        return self._serve(policy, target, history, "rollback", reason)

    def wake(self, policy: str) -> RunRecord:
        """Bring back an endpoint that was taken down because nobody asked it.

        Raises:
            PolicyNotFoundError: nothing of this name is in service.
            ConflictError: it is awake.
        """
        history = self._history(policy)
        if not self.served.current(policy).asleep:
            raise ConflictError(f"The policy {policy} is awake.", "Ask it for actions.")
        return self._serve(policy, history[-1].version, history, "wake", "Woken by request.")

    def delete(self, policy: str, now_epoch: int) -> DeletedPolicy:
        """Take the policy out of service: endpoint, alarms, scaling, configs, models, files. Runs and theirs stay.

        Raises:
            PolicyNotFoundError: nothing of this name is or was in service.
            ConflictError: a run of it goes on.
            LeaseHeldError: it is being deployed.
            NotYetConsistentError: its endpoint is changing; the call may be repeated.
        """
        history = self.policies.history(policy)
        if not history:
            raise PolicyNotFoundError(f"No policy named {policy!r} is or was in service.")
        going_on = self.runs.table.list(policy=policy, status=RunStatus.RUNNING, limit=1).runs
        if going_on:
            raise ConflictError(
                f"The run {going_on[0].run_id} of the policy {policy} goes on.", "Wait for its end, or cancel it first."
            )
        self.policies.acquire_lease(policy, _DELETING, now_epoch)
        try:
            self.policies.take_out_of_service(policy)
            self.runs.objects.delete(names.policy_key(policy, "current.json"))
            for endpoint in sorted({one.endpoint_name for one in history}):
                endpoints.take_down(self.hosting, endpoint)
            for config in sorted({one.config_name for one in history}):
                endpoints.delete_config(self.hosting.sagemaker, config)
            self.runs.objects.delete_all(names.policy_key(policy, ""))
            self.policies.forget(policy)
        finally:
            self.policies.release_lease(policy, _DELETING)
        return DeletedPolicy(policy=policy, versions=tuple(dict.fromkeys(one.version for one in history)))

    def _history(self, policy: str) -> tuple[ServedVersion, ...]:
        history = self.policies.history(policy)
        if not history or self.policies.version_in_service(policy) is None:
            raise PolicyNotFoundError(f"No policy named {policy!r} is in service.")
        return history

    def _serve(
        self, policy: str, version: str, history: tuple[ServedVersion, ...], kind: str, reason: str
    ) -> RunRecord:
        """Write the record, then start the execution; a call that is repeated makes up for a lost start."""
        trained = self._trained(version)
        since = history[-1].at.isoformat()
        attempts = (names.run_id(policy, "serve", kind, version, since, attempt) for attempt in count(1))
        run_id = next(one for one in attempts if not self._has_ended(one))
        arn = executions.execution_arn(self.runs.state_machine_arn, run_id)
        self.runs.table.admit(_record(run_id, arn, trained, reason))
        event = ServeEvent(run_id=run_id, policy=policy, version=version, reason=kind)
        executions.start(self.runs.stepfunctions, self.runs.state_machine_arn, run_id, event)
        return self.runs.table.get(run_id)

    def _trained(self, version: str) -> RunRecord:
        try:
            record = self.runs.table.get(version)
            for path in ("serving/model.tar.gz", "evaluation/parity.json"):
                self.runs.objects.head(names.run_key(version, path))
        except (RunNotFoundError, BuildNotFoundError) as error:
            raise ConflictError(
                f"What the run {version} made is gone: {error.cause}", "Name another version."
            ) from error
        return record

    def _has_ended(self, run_id: str) -> bool:
        try:
            return self.runs.table.get(run_id).status.is_final
        except RunNotFoundError:
            return False


def connect(runs: Runs, settings: ControlWriteSettings) -> Serving:
    """The policies of the stack that the environment names."""
    return Serving(
        runs,
        PoliciesTable(clients.dynamodb(), settings.policies_table),
        ServedPolicies(clients.s3(), settings.bucket_name),
        clients.hosting(),
    )


def _record(run_id: str, arn: str, trained: RunRecord, reason: str) -> RunRecord:
    """The record of a run that serves what another one has trained."""
    moment = datetime.now(UTC)
    same = (
        *("policy", "source_key", "build_key", "build_sha256", "options", "executable"),
        *("artifacts", "artifact_sha256", "evaluation"),
    )
    return RunRecord(
        run_id=run_id,
        status=RunStatus.RUNNING,
        state=ACCEPTED,
        created_at=moment,
        updated_at=moment,
        execution_arn=arn,
        serves=trained.version,
        promotion=PromotionDecision(promote=True, reasons=(reason,)),
        **{name: getattr(trained, name) for name in same},
    )
