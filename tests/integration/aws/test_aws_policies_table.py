"""The lease on a policy's deployment."""

import pytest

from pipeline.aws.policies_table import LEASE_SECONDS, PoliciesTable
from pipeline.errors import LeaseHeldError
from pipeline.steps.deployment import DEADLINE_SECONDS

NOW = 1_700_000_000


def test_one_run_at_a_time_has_the_lease_and_may_take_it_again(policies: PoliciesTable) -> None:
    policies.acquire_lease("basic", "run-1", NOW)
    policies.acquire_lease("basic", "run-1", NOW + 1)
    with pytest.raises(LeaseHeldError, match="basic"):
        policies.acquire_lease("basic", "run-2", NOW + 2)
    policies.acquire_lease("other", "run-2", NOW + 2)


def test_who_gives_it_back_lets_the_next_one_in(policies: PoliciesTable) -> None:
    policies.acquire_lease("basic", "run-1", NOW)
    policies.release_lease("basic", "run-1")
    policies.acquire_lease("basic", "run-2", NOW)


def test_who_does_not_have_it_cannot_give_it_back(policies: PoliciesTable) -> None:
    policies.acquire_lease("basic", "run-1", NOW)
    policies.release_lease("basic", "run-2")
    policies.release_lease("never-heard-of", "run-2")
    with pytest.raises(LeaseHeldError):
        policies.acquire_lease("basic", "run-2", NOW)


def test_it_runs_out_by_itself_and_taking_it_again_prolongs_it(policies: PoliciesTable) -> None:
    policies.acquire_lease("basic", "run-1", NOW)
    policies.acquire_lease("basic", "run-1", NOW + 100)
    with pytest.raises(LeaseHeldError):
        policies.acquire_lease("basic", "run-2", NOW + 100 + LEASE_SECONDS)
    policies.acquire_lease("basic", "run-2", NOW + 101 + LEASE_SECONDS)
    with pytest.raises(LeaseHeldError):
        policies.acquire_lease("basic", "run-1", NOW + 101 + LEASE_SECONDS)


def test_it_outlasts_a_deployment() -> None:
    assert LEASE_SECONDS > DEADLINE_SECONDS


def test_what_is_in_service_is_kept_apart_from_the_lease(policies: PoliciesTable) -> None:
    assert policies.version_in_service("basic") is None
    policies.acquire_lease("basic", "run-1", NOW)
    assert policies.version_in_service("basic") is None
    policies.set_version_in_service("basic", "run-1")
    policies.release_lease("basic", "run-1")
    assert policies.version_in_service("basic") == "run-1"
    policies.acquire_lease("basic", "run-2", NOW)
    assert policies.version_in_service("basic") == "run-1"
