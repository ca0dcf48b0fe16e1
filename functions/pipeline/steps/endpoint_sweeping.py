"""SweepEndpoints: endpoints that nobody asks fall asleep, and what no endpoint uses any more is collected.

Whatever is changed here is changed under the policy's lease, which every deployment has from DecidePromotion to
VerifyEndpoint: nothing is deleted that a deployment is about to use. A policy whose lease is held is left to the next
sweep.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.aws import alarms, endpoints, notifications, scaling
from pipeline.aws.clients import HostingClients
from pipeline.aws.endpoints import EndpointDescription, Resource
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.base import Contract
from pipeline.contracts.policy import CurrentPolicy, PolicyNotice, ServedVersion
from pipeline.contracts.run import RunRecord
from pipeline.errors import LeaseHeldError, PipelineError, PolicyAsleepError, PolicyNotFoundError, RunNotFoundError
from pipeline.rules import names
from pipeline.rules.collection import InUse, in_use
from pipeline.rules.cost import usd_per_hour
from pipeline.rules.statuses import Outlook, endpoint_outlook
from pipeline.steps.records import now

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_GRACE = timedelta(hours=1)
"""Younger endpoints, configs and models are left alone: somebody may be about to use them."""

_LEASE_SECONDS = 600
"""Twice as long as a sweep may take: one that dies blocks no deployment for long."""

_IDLE = timedelta(hours=24)
"""So long nobody asked: an endpoint that is to stay nevertheless is told of."""

_MODES = ("serverless", "realtime")


class SweptEndpoints(Contract):
    """What was done: policies that fell asleep; endpoints and versions (config and model) that are gone, by name.

    And how things stand, of which the log's metrics are made (template.yaml): policies whose real-time endpoint nobody
    asked for a day, and what all real-time endpoints cost an hour at the list's prices.
    """

    asleep: tuple[str, ...] = ()
    deleted_endpoints: tuple[str, ...] = ()
    deleted_versions: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    idle_count: int = 0
    usd_per_hour: float = 0.0


@dataclass(frozen=True)
class _Idle:
    current: CurrentPolicy
    came: ServedVersion
    hours: int


@dataclass(frozen=True)
class _Standing:
    policy: str
    is_idle: bool
    usd_per_hour: float


@dataclass
class _Leftovers:
    endpoints: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)


@dataclass
class EndpointSweeper:
    """The clients and tables that a sweep needs. `sweep_id` holds the leases: the same for another try of a sweep."""

    sweep_id: str
    topic_arn: str
    resource_prefix: str
    clients: HostingClients
    sns: "SNSClient"
    objects: ObjectStore
    served: ServedPolicies
    runs: RunsTable
    policies: PoliciesTable
    _errors: list[PipelineError] = field(default_factory=list)

    def sweep(self) -> SweptEndpoints:
        """Look at every policy, and at everything of ours in SageMaker. What fails holds nothing else up.

        Raises:
            PipelineError: the first thing that could not be done; the next sweep tries again.
        """
        self._errors.clear()
        known: tuple[str, ...] = ()
        with self._part():
            known = tuple(self.served.names())
        asleep = tuple(policy for policy in known if self._falls_asleep(policy))
        leftovers: dict[str, _Leftovers] = {}
        with self._part():
            leftovers = self._leftovers(known)
        collected = [self._collect(policy, leftovers[policy]) for policy in sorted(leftovers)]
        standing = [one for policy in known if (one := self._standing(policy)) is not None]
        if self._errors:
            raise self._errors[0]
        idle = tuple(one.policy for one in standing if one.is_idle)
        return SweptEndpoints(
            asleep=asleep,
            deleted_endpoints=tuple(name for one in collected for name in sorted(one.endpoints)),
            deleted_versions=tuple(name for one in collected for name in sorted(one.versions)),
            idle=idle,
            idle_count=len(idle),
            usd_per_hour=round(sum(one.usd_per_hour for one in standing), 4),
        )

    # ── Falling asleep ─────

    def _falls_asleep(self, policy: str) -> bool:
        with self._part():
            if self._idle(policy) is None:
                return False
            with self._lease(policy):
                idle = self._idle(policy)  # it may have been asked, or replaced, since
                return idle is not None and self._put_to_sleep(idle)
        return False

    def _idle(self, policy: str) -> _Idle | None:
        """What is in service of this policy if nobody asked it for its time; None if it is to stay."""
        try:
            current = self.served.current(policy)
            ttl = self.runs.get(current.version).options.endpoint.idle_ttl
        except (PolicyNotFoundError, RunNotFoundError):
            return None
        history = self.policies.history(policy)
        if ttl is None or not history or history[-1].version != current.version:
            return None
        idle = _Idle(current, history[-1], int(ttl.total_seconds() // 3600))
        if current.asleep:  # a sweep that broke off is gone on with
            return idle if idle.came.asleep_since is None else None
        moment = now()
        if moment - idle.came.at < ttl:
            return None
        asked = alarms.invocations(self.clients.cloudwatch, current.endpoint_name, moment - ttl, moment)
        return None if asked else idle

    def _put_to_sleep(self, idle: _Idle) -> bool:
        """First nobody is sent to the endpoint any more; then it goes, people are told, and that is written down."""
        current = idle.current
        found = endpoints.describe(self.clients.sagemaker, current.endpoint_name)
        if found is not None and endpoint_outlook(found.status) is Outlook.WAIT:
            return False
        asleep = current.model_copy(update={"asleep": True})
        self.objects.write_document(names.policy_key(current.policy, "current.json"), asleep)
        endpoints.take_down(self.clients, current.endpoint_name)
        moment = now()
        cause = f"Nobody asked the policy {current.policy} for {idle.hours} hours, and its endpoint was taken down."
        notice = PolicyNotice(
            policy=current.policy,
            version=current.version,
            at=moment,
            cause=cause,
            remedy=PolicyAsleepError.default_remedy,
        )
        notifications.publish_notice(self.sns, self.topic_arn, notice, f"{idle.came.run_id}/{notice.status}")
        self.policies.set_asleep(current.policy, moment)
        return True

    # ── What stays ─────

    def _standing(self, policy: str) -> _Standing | None:
        """The real-time endpoint in service, which costs as long as it is there; None where there is none."""
        with self._part(), suppress(PolicyNotFoundError, RunNotFoundError):
            current = self.served.current(policy)
            hosting = self.runs.get(current.version).options.endpoint
            if current.asleep or hosting.mode != "realtime":
                return None
            found = self._described(current.endpoint_name)
            if found is None:
                return None
            price = usd_per_hour(hosting.instance_type, spot=False) or 0.0
            return _Standing(policy, self._unasked(current), price * (found.instance_count or 0))
        return None

    def _unasked(self, current: CurrentPolicy) -> bool:
        moment, history = now(), self.policies.history(current.policy)
        if not history or moment - history[-1].at < _IDLE:
            return False
        return not alarms.invocations(self.clients.cloudwatch, current.endpoint_name, moment - _IDLE, moment)

    # ── Collecting ─────

    def _leftovers(self, known: tuple[str, ...]) -> dict[str, _Leftovers]:
        """By policy, what seems to be of no use; what is kept is not looked at more closely."""
        scaled = scaling.scaled_endpoints(self.clients.autoscaling, self.resource_prefix)
        watched = alarms.endpoints_with_alarms(self.clients.cloudwatch, self.resource_prefix)
        versions = endpoints.versions_of(self.clients.sagemaker, self.resource_prefix)
        listed = endpoints.endpoints_of(self.clients.sagemaker, self.resource_prefix)
        described = {one.name: self._described(one.name) for one in listed}
        open_runs = tuple(self.runs.open_runs())
        kept = [self._in_use(policy, described.get, open_runs) for policy in known]
        kept_endpoints = {name for one in kept for name in one.endpoints}
        kept_versions = {name for one in kept for name in one.versions}
        found: defaultdict[str, _Leftovers] = defaultdict(_Leftovers)
        for policy, name in self._old_ones(listed, kept_endpoints):
            found[policy].endpoints.add(name)
        for name in (scaled | watched) - kept_endpoints - described.keys():  # of endpoints that are gone
            found[names.policy_of_endpoint(self.resource_prefix, name)].endpoints.add(name)
        for policy, name in self._old_ones(versions, kept_versions):
            found[policy].versions.add(name)
        return found

    def _old_ones(self, listed: Iterable[Resource], kept: set[str]) -> Iterator[tuple[str, str]]:
        """Policy and name of those that are not kept and have been there for a while."""
        for one in listed:
            if one.name not in kept and now() - one.created_at > _GRACE:
                policy = endpoints.policy_of(self.clients.sagemaker, one)
                if policy is not None:
                    yield policy, one.name

    def _collect(self, policy: str, leftovers: _Leftovers) -> _Leftovers:
        """Delete what is still of no use now that nobody else may deploy this policy; answers what is gone."""
        gone = _Leftovers()
        with self._part(), self._lease(policy):
            kept = self._in_use(policy, self._described, tuple(self.runs.open_runs()))
            for name in sorted(leftovers.endpoints - kept.endpoints):
                found = self._described(name)
                if found is None or endpoint_outlook(found.status) is not Outlook.WAIT:
                    endpoints.take_down(self.clients, name)
                    gone.endpoints.add(name)
            for name in sorted(leftovers.versions - kept.versions):
                endpoints.delete_config(self.clients.sagemaker, name)
                gone.versions.add(name)
        return gone

    def _in_use(
        self,
        policy: str,
        look: Callable[[str], EndpointDescription | None],
        open_runs: tuple[RunRecord, ...],
    ) -> InUse:
        current = None
        with suppress(PolicyNotFoundError):
            current = self.served.current(policy)
        found = [look(names.endpoint_name(self.resource_prefix, policy, mode)) for mode in _MODES]
        served = [name for one in found if one is not None for name in (one.config_name, one.pending_config_name)]
        return in_use(self.resource_prefix, policy, current, self.policies.history(policy), served, open_runs)

    def _described(self, name: str) -> EndpointDescription | None:
        return endpoints.describe(self.clients.sagemaker, name)

    @contextmanager
    def _lease(self, policy: str) -> Iterator[None]:
        self.policies.acquire_lease(policy, self.sweep_id, int(now().timestamp()), _LEASE_SECONDS)
        try:
            yield
        finally:
            self.policies.release_lease(policy, self.sweep_id)

    @contextmanager
    def _part(self) -> Iterator[None]:
        try:
            yield
        except LeaseHeldError:
            pass
        except PipelineError as error:
            self._errors.append(error)
