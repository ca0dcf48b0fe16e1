"""The lease on a policy's deployment, and the history of what was in service."""

from datetime import UTC, datetime

import pytest

from pipeline.aws.policies_table import LEASE_SECONDS, PoliciesTable
from pipeline.contracts.policy import ServedVersion
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


def served(version: str, run_id: str = "") -> ServedVersion:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ServedVersion(version=version, run_id=run_id or version, at=at, endpoint_name="e", config_name=version)


def test_history_grows_by_what_comes_into_service_and_not_by_a_second_try(policies: PoliciesTable) -> None:
    assert policies.history("basic") == ()
    came = [served("run-1"), served("run-2"), served("run-2"), served("run-1", "back-1")]
    for one in came:
        policies.set_in_service("basic", one)
    assert [one.run_id for one in policies.history("basic")] == ["run-1", "run-2", "back-1"]
    policies.take_out_of_service("basic")
    assert (policies.version_in_service("basic"), len(policies.history("basic"))) == (None, 3)
    policies.forget("basic")
    assert policies.history("basic") == ()


def test_history_stays_within_an_item(policies: PoliciesTable) -> None:
    for number in range(203):
        policies.set_in_service("basic", served(f"run-{number}"))
    assert [one.version for one in policies.history("basic")][::199] == ["run-3", "run-202"]


def test_what_is_in_service_is_kept_apart_from_the_lease(policies: PoliciesTable) -> None:
    assert policies.version_in_service("basic") is None
    policies.acquire_lease("basic", "run-1", NOW)
    assert policies.version_in_service("basic") is None
    policies.set_in_service("basic", served("run-1"))
    policies.release_lease("basic", "run-1")
    assert policies.version_in_service("basic") == "run-1"
    policies.acquire_lease("basic", "run-2", NOW)
    assert policies.version_in_service("basic") == "run-1"
