"""What is in use is never among what may go, and the last versions are kept for a rollback."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.policy import CurrentPolicy, ServedVersion
from pipeline.contracts.request import EndpointRequest, RunOptions
from pipeline.contracts.run import EndpointRecord, RunRecord, RunStatus
from pipeline.rules import names
from pipeline.rules.collection import KEPT_VERSIONS, in_use

PREFIX = "gamedojo-test"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
POLICIES = st.sampled_from(["basic", "other"])
VERSIONS = st.sampled_from([f"basic-{letter}" for letter in "abcdefgh"])
MODES = st.sampled_from(["serverless", "realtime"])


def config(version: str, mode: str = "serverless", policy: str = "basic") -> str:
    return names.version_name(PREFIX, policy, version, mode)


def came(version: str, mode: str) -> ServedVersion:
    endpoint = names.endpoint_name(PREFIX, "basic", mode)
    return ServedVersion(
        version=version, run_id=version, at=MOMENT, endpoint_name=endpoint, config_name=config(version, mode)
    )


def run(version: str, mode: Any, policy: str, endpoint: EndpointRecord | None) -> RunRecord:
    return RunRecord(
        run_id=version,
        policy=policy,
        status=RunStatus.RUNNING,
        state="DeployEndpoint",
        created_at=MOMENT,
        updated_at=MOMENT,
        execution_arn="arn:x",
        source_key="builds/x.zip",
        build_key="runs/x/build.zip",
        options=RunOptions(endpoint=EndpointRequest(mode=mode)),
        endpoint=endpoint,
    )


def current(version: str, mode: str, asleep: bool) -> CurrentPolicy:
    return CurrentPolicy(
        policy="basic",
        version=version,
        endpoint_name=names.endpoint_name(PREFIX, "basic", mode),
        spec_key="k",
        asleep=asleep,
    )


ENDPOINTS = st.none() | st.builds(
    lambda mode, now, before: EndpointRecord(
        name=names.endpoint_name(PREFIX, "basic", mode),
        config_name=config(now, mode),
        status="Updating",
        previous_config_name=config(before, mode),
    ),
    MODES,
    VERSIONS,
    VERSIONS,
)
RUNS = st.lists(st.builds(run, VERSIONS, MODES, POLICIES, ENDPOINTS), max_size=4)
HISTORY = st.lists(st.builds(came, VERSIONS, MODES), max_size=12)
SERVED = st.lists(st.none() | st.builds(config, VERSIONS, MODES), max_size=4)


@given(st.none() | st.builds(current, VERSIONS, MODES, st.booleans()), HISTORY, SERVED, RUNS)
def test_what_anything_refers_to_stays(now, history, served, runs):
    kept = in_use(PREFIX, "basic", now, history, served, runs)
    assert {name for name in served if name} <= kept.versions, "what an endpoint serves, or is changing to"
    for one in runs:
        if one.policy == "basic":
            assert config(one.version, one.options.endpoint.mode) in kept.versions, "what a run is about to make"
            if one.endpoint is not None:
                assert {one.endpoint.config_name, one.endpoint.previous_config_name} <= kept.versions
                assert one.endpoint.name in kept.endpoints
    if now is not None and not now.asleep:
        assert now.endpoint_name in kept.endpoints
    if history:
        assert history[-1].config_name in kept.versions


@given(HISTORY)
def test_of_the_history_the_last_versions_stay_and_no_others(history):
    kept = in_use(PREFIX, "basic", None, history, [], []).versions
    last = list(dict.fromkeys(one.config_name for one in reversed(history)))
    assert kept == set(last[:KEPT_VERSIONS])


def test_an_endpoint_that_is_asleep_or_another_policys_run_keeps_nothing():
    endpoint = EndpointRecord(name="e", config_name="c", status="Updating", previous_config_name="d")
    kept = in_use(
        PREFIX, "basic", current("basic-a", "realtime", True), [], [], [run("other-a", "realtime", "other", endpoint)]
    )
    assert (kept.endpoints, kept.versions) == (frozenset(), frozenset())
