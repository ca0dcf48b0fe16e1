"""The control API's view of what is in service."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.aws import endpoint_metrics
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.api import PolicyDescription, PolicyHistory, PolicyList, PolicyTraffic, TrafficQuery
from pipeline.contracts.policy import CurrentPolicy
from pipeline.errors import PolicyNotFoundError
from pipeline.rules import traffic

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


def list_policies(policies: ServedPolicies) -> PolicyList:
    """Every policy in service; one that is deployed for the first time just now, or was taken away, is left out."""
    found: list[CurrentPolicy] = []
    for name in policies.names():
        with suppress(PolicyNotFoundError):
            found.append(policies.current(name))
    return PolicyList(policies=tuple(found))


def policy_history(policies: PoliciesTable, policy: str) -> PolicyHistory:
    """What was in service under this name, newest first.

    Raises:
        PolicyNotFoundError: nothing ever was.
    """
    found = policies.history(policy)
    if not found:
        raise PolicyNotFoundError(f"No policy named {policy!r} is or was in service.")
    return PolicyHistory(versions=found[::-1])


def describe_policy(policies: ServedPolicies, policy: str) -> PolicyDescription:
    """What is in service under this name, what it observes and does.

    Raises:
        PolicyNotFoundError: nothing is in service under this name.
    """
    current = policies.current(policy)
    return PolicyDescription(**dict(current), spec=policies.spec(current))


def policy_traffic(
    policies: ServedPolicies, cloudwatch: "CloudWatchClient", policy: str, query: TrafficQuery
) -> PolicyTraffic:
    """How often the endpoint in service was asked, and how fast it was; of one that sleeps, before it fell asleep.

    Raises:
        PolicyNotFoundError: nothing is in service under this name.
        ThrottledError, ServiceUnavailableError: S3 or CloudWatch cannot answer.
    """
    endpoint = policies.current(policy).endpoint_name
    periods = traffic.periods(query.window, datetime.now(UTC))
    points = endpoint_metrics.points(cloudwatch, endpoint, traffic.STATISTICS, periods)
    return traffic.told(policy, endpoint, query.window, periods, points)
