"""Names: always legal, always the same for the same thing, never the same for two."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.contracts.base import PolicyName, RunId
from pipeline.rules import names

SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
POLICY, RUN = TypeAdapter(PolicyName), TypeAdapter(RunId)

policies = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,39}", fullmatch=True).filter(lambda name: len(name) <= 40)
prefixes = st.from_regex(r"gamedojo-[a-z][a-z0-9]{0,9}", fullmatch=True)
texts = st.text(min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("key", "policy"),
    [
        ("builds/MyGame.zip", "mygame"),
        ("builds/my-game/2024-01-02.zip", "my-game"),
        ("builds/My Game (v2).zip", "my-game-v2"),
        ("builds/a/b/c.zip", "a"),
        ("builds/archive.tar.gz", "archive-tar"),
        ("builds/noextension", "noextension"),
    ],
)
def test_the_policy_is_what_the_key_is_called(key: str, policy: str) -> None:
    assert names.policy_from_key(key) == policy


def test_the_policy_of_an_upload_is_what_the_file_is_called() -> None:
    assert names.policy_from_upload("uploads/0f3a/My Game.zip") == "my-game"


@given(st.text())
def test_any_key_yields_a_legal_policy(rest: str) -> None:
    POLICY.validate_python(names.policy_from_key(f"builds/{rest}"))
    POLICY.validate_python(names.policy_from_upload(f"uploads/1/{rest}"))


@given(policies)
def test_a_legal_name_is_kept_as_it_is(policy: str) -> None:
    assert names.policy_from_key(f"builds/{policy}.zip") == policy
    assert names.policy_from_key(f"builds/{policy}/any.zip") == policy


def test_names_of_which_nothing_is_left_differ_all_the_same() -> None:
    first, second = names.policy_from_key("builds/游戏.zip"), names.policy_from_key("builds/遊戲.zip")
    assert first != second
    assert first.startswith("build-")


@given(policies, texts, texts, texts, texts)
def test_a_run_id_is_legal_repeatable_and_tells_its_policy(
    policy: str, bucket: str, key: str, version: str, request: str
) -> None:
    run = names.run_id(policy, bucket, key, version, request)
    RUN.validate_python(run)
    assert run == names.run_id(policy, bucket, key, version, request)
    assert policy.startswith(names.policy_of_run(run))


@given(policies, st.lists(texts, min_size=4, max_size=4), st.integers(0, 3), texts)
def test_whatever_differs_is_another_run(policy: str, parts: list[str], place: int, other: str) -> None:
    changed = [*parts[:place], other, *parts[place + 1 :]]
    same = [part.strip('"') if index == 2 else part for index, part in enumerate(changed)] == [
        part.strip('"') if index == 2 else part for index, part in enumerate(parts)
    ]
    assert (names.run_id(policy, *parts) == names.run_id(policy, *changed)) is same


def test_an_etag_is_the_same_with_and_without_its_quotes() -> None:
    assert names.run_id("p", "b", "k", '"abc"') == names.run_id("p", "b", "k", "abc")


@given(st.text())
def test_the_policy_of_any_run_id_that_a_user_made_is_legal(text: str) -> None:
    run = names.slug(text)
    POLICY.validate_python(names.policy_of_run(run))


@given(prefixes, policies, texts, st.sampled_from(["train", "eval"]), st.integers(1, 999))
def test_names_in_sagemaker_are_legal(prefix: str, policy: str, version: str, step: str, attempt: int) -> None:
    run = names.run_id(policy, "bucket", "key", version)
    for name in (
        names.job_name(prefix, run, step, attempt),
        names.endpoint_name(prefix, policy, "serverless"),
        names.endpoint_name(prefix, policy, "realtime"),
        names.version_name(prefix, policy, run, "realtime"),
    ):
        assert SAGEMAKER_NAME.fullmatch(name), name
        assert name.startswith(prefix)


@given(prefixes, policies, texts, texts)
def test_shortened_names_stay_apart(prefix: str, policy: str, one: str, other: str) -> None:
    runs = [names.run_id(policy, "bucket", "key", version) for version in (one, other)]
    different = runs[0] != runs[1]
    for make in (
        lambda run: names.job_name(prefix, run, "train", 1),
        lambda run: names.version_name(prefix, policy, run),
    ):
        assert (make(runs[0]) != make(runs[1])) is different


def test_the_steps_and_attempts_of_a_run_have_names_of_their_own() -> None:
    made = {names.job_name("gamedojo-dev", "basic-0123456789ab", step, n) for step in ("train", "eval") for n in (1, 2)}
    assert len(made) == 4


def test_the_modes_of_a_policy_have_endpoints_and_configs_of_their_own() -> None:
    modes = ("serverless", "realtime")
    assert len({names.endpoint_name("p", "basic", mode) for mode in modes}) == 2
    assert len({names.version_name("p", "basic", "v", mode) for mode in modes}) == 2
