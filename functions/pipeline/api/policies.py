"""The control API's view of what is in service."""

from contextlib import suppress

from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.api import PolicyDescription, PolicyHistory, PolicyList
from pipeline.contracts.policy import CurrentPolicy
from pipeline.errors import PolicyNotFoundError


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
