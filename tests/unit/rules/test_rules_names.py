"""Names: all that SageMaker takes, the same each time, and different where the things are."""

import re
from functools import cache
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.contracts.base import POLICY_NAME_PATTERN, PolicyName, RunId
from pipeline.rules import names
from tests.fakes.expanded_template import source

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
LONG = st.text(LETTERS, min_size=38, max_size=40)
"""Of these something is cut off; left to itself, hypothesis rarely makes them."""
POLICIES = st.from_regex(POLICY_NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) <= 40) | LONG
PREFIXES = st.from_regex(r"gamedojo-[a-z][a-z0-9]{0,9}", fullmatch=True)
"""By the template's AllowedPattern of its Stage."""

VERSIONS = st.text(min_size=1, max_size=40)
MODES = st.sampled_from(["serverless", "realtime"])


@cache
def shapes() -> dict[str, Any]:
    found: dict[str, Any] = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    return found


def sagemaker_takes(shape: str, name: str) -> bool:
    model = shapes()[shape]
    return len(name) <= model["max"] and re.fullmatch(model["pattern"], name) is not None


def test_prefixes_are_those_that_the_template_can_make():
    assert source()["Parameters"]["Stage"]["AllowedPattern"] == "[a-z][a-z0-9]{0,9}"


@given(PREFIXES, POLICIES, VERSIONS, st.sampled_from(["train", "eval"]), st.integers(1, 99), MODES)
def test_sagemaker_takes_every_name(prefix, policy, version, step, attempt, mode):
    run = names.run_id(policy, "bucket", "builds/x.zip", version)
    assert sagemaker_takes("TrainingJobName", names.job_name(prefix, run, step, attempt))
    assert sagemaker_takes("EndpointName", names.endpoint_name(prefix, policy, mode))
    assert sagemaker_takes("EndpointConfigName", names.version_name(prefix, policy, run, mode))
    assert sagemaker_takes("ModelName", names.version_name(prefix, policy, run, mode))


@given(PREFIXES, POLICIES, VERSIONS, VERSIONS)
def test_names_of_two_runs_differ_however_much_is_cut_off(prefix, policy, version, other):
    runs = {names.run_id(policy, "bucket", "key", one) for one in (version, other)}
    expected = len({version.strip('"'), other.strip('"')})
    assert len(runs) == expected
    assert len({names.job_name(prefix, run, "train", 1) for run in runs}) == expected
    assert len({names.version_name(prefix, policy, run) for run in runs}) == expected


@given(PREFIXES, POLICIES)
def test_steps_attempts_and_modes_are_told_apart(prefix, policy):
    run = names.run_id(policy, "bucket", "key", "1")
    assert len({names.job_name(prefix, run, step, n) for step in ("train", "eval") for n in (1, 2)}) == 4
    assert len({names.endpoint_name(prefix, policy, mode) for mode in ("serverless", "realtime")}) == 2
    assert len({names.version_name(prefix, policy, run, mode) for mode in ("serverless", "realtime")}) == 2


@given(PREFIXES, POLICIES, POLICIES, MODES, MODES, st.booleans())
def test_no_two_policies_share_an_endpoint(prefix, policy, other, mode, other_mode, is_named_alike):
    other = f"{policy[:37].rstrip('-')}-rt" if is_named_alike else other
    endpoints = {names.endpoint_name(prefix, policy, mode), names.endpoint_name(prefix, other, other_mode)}
    assert len(endpoints) == len({(policy, mode), (other, other_mode)})


def test_a_policy_named_as_a_realtime_endpoint_has_a_serverless_one_of_its_own():
    assert names.endpoint_name("gamedojo-dev", "x", "realtime") == "gamedojo-dev-x-rt"
    assert names.endpoint_name("gamedojo-dev", "x-rt", "serverless") == "gamedojo-dev-x-rt--s"
    assert names.endpoint_name("gamedojo-dev", "x-rt", "realtime") == "gamedojo-dev-x-rt-rt"
    assert names.endpoint_name("gamedojo-dev", "xrt", "serverless") == "gamedojo-dev-xrt"


@given(PREFIXES, POLICIES)
def test_a_name_begins_with_the_prefix_by_which_the_template_grants_rights(prefix, policy):
    run = names.run_id(policy, "bucket", "key", "1")
    made = [names.job_name(prefix, run, "eval", 3), names.endpoint_name(prefix, policy, "realtime")]
    assert all(name.startswith(f"{prefix}-") for name in [*made, names.version_name(prefix, policy, run)])


@given(POLICIES, st.text(min_size=1), st.text(min_size=1), VERSIONS, st.text())
def test_a_run_id_is_the_same_each_time_and_keeps_its_contract(policy, bucket, key, version, request):
    run = names.run_id(policy, bucket, key, version, request)
    assert run == names.run_id(policy, bucket, key, version, request)
    TypeAdapter(RunId).validate_python(run)


def test_a_run_id_hangs_on_every_part_and_not_on_an_etags_quotes():
    whole = ("basic", "bucket", "builds/Basic.zip", "v1", "{}")
    ids = {names.run_id(*whole)}
    for position, other in enumerate(("other", "b", "builds/basic.zip", "v2", "")):
        ids.add(names.run_id(*whole[:position], other, *whole[position + 1 :]))
    assert len(ids) == 6
    assert names.run_id("basic", "b", "k", '"etag"') == names.run_id("basic", "b", "k", "etag")


def test_a_run_id_reads_like_its_policy():
    assert re.fullmatch(r"basic-[0-9a-f]{12}", names.run_id("basic", "b", "k", "v"))


@given(st.text())
def test_any_key_makes_a_policy_name(text):
    for made in (
        names.slug(text),
        names.policy_from_key(f"builds/{text}"),
        names.policy_from_upload(f"uploads/{text}"),
    ):
        TypeAdapter(PolicyName).validate_python(made)


@given(POLICIES)
def test_a_policy_name_is_its_own_slug(policy):
    assert names.slug(policy) == policy
    assert names.policy_from_key(f"builds/{policy}.zip") == policy
    assert names.policy_from_key(f"builds/{policy}/any name.zip") == policy


@given(POLICIES)
def test_the_policy_is_found_again_in_the_run_id(policy):
    found = names.policy_of_run(names.run_id(policy, "b", "k", "v"))
    assert policy.startswith(found)
    assert len(found) >= min(len(policy), 35)
    TypeAdapter(PolicyName).validate_python(found)


@pytest.mark.parametrize(
    ("key", "policy"),
    [
        ("builds/MyGame.zip", "mygame"),
        ("builds/My Game v1.2.zip", "my-game-v1-2"),
        ("builds/soccer/Soccer Twos.zip", "soccer"),
        ("builds/soccer.v2/x.zip", "soccer-v2"),
        ("builds/--Odd__name--.ZIP", "odd-name"),
        ("builds/" + "a" * 39 + "-b.zip", "a" * 39),
        ("builds/noending", "noending"),
    ],
)
def test_policies_of_dropped_builds(key, policy):
    assert names.policy_from_key(key) == policy


def test_names_in_other_scripts_stay_apart():
    one, other = names.slug("迷宮"), names.slug("ゲーム")
    assert one != other
    assert one.startswith("build-")


def test_an_upload_is_named_by_its_file():
    assert names.policy_from_upload("uploads/5f0c/My Game.zip") == "my-game"


@given(PREFIXES, POLICIES, st.sampled_from(["realtime", "serverless"]))
def test_an_endpoints_name_tells_its_policy_and_its_alarms_are_its_own(prefix, policy, mode):
    endpoint = names.endpoint_name(prefix, policy, mode)
    assert names.policy_of_endpoint(prefix, endpoint) == policy
    alarms = names.alarms(endpoint)
    assert len(set(alarms)) == 2
    assert all(name.startswith(f"{prefix}-") and len(name) <= 255 for name in alarms)


@given(PREFIXES, POLICIES, VERSIONS)
def test_tags_say_whose_a_thing_is(prefix, policy, run):
    tags = names.tags(prefix, policy, run)
    assert tags == {"project": "gamedojo", "stage": prefix.split("-")[1], "policy": policy, "run_id": run}


@given(PREFIXES, POLICIES, POLICIES, VERSIONS, VERSIONS, MODES)
def test_versions_of_one_policy_are_known_by_their_names(prefix, policy, other, version, another, mode):
    mine = names.version_name(prefix, policy, version)
    assert names.are_of_one_policy(mine, names.version_name(prefix, policy, another, mode))
    uncut = max(len(policy), len(other)) <= names.MAX_NAME_LENGTH - len(f"{prefix}--0123456789ab")
    if uncut and policy != other:
        assert not names.are_of_one_policy(mine, names.version_name(prefix, other, version))
