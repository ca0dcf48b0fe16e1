import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedojo.cli.request_options import apply_setting, read_json, training_request
from gamedojo.errors import InputError
from gamedojo.transport import RetryPolicy, is_loopback

names = st.text(st.characters(categories=["L", "N"], include_characters="_"), min_size=1)
leaves = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.none()
nested = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=8)


def flat(document: dict[str, Any], prefix: str = "") -> list[str]:
    settings = []
    for name, value in document.items():
        if isinstance(value, dict):
            settings += flat(value, f"{prefix}{name}.")
        else:
            settings.append(f"{prefix}{name}={json.dumps(value)}")
    return settings


@given(st.dictionaries(names, nested, max_size=4))
def test_settings_build_the_document_that_they_spell_out(document: dict[str, Any]) -> None:
    request: dict[str, Any] = {}
    for setting in flat(document):
        apply_setting(request, setting)
    assert request == document


@pytest.mark.parametrize(
    ("setting", "request_"),
    [
        ("hyperparameters.lr=0.0003", {"hyperparameters": {"lr": 0.0003}}),
        ("algorithm=PPO", {"algorithm": "PPO"}),
        ("network.hidden_sizes=[64, 64]", {"network": {"hidden_sizes": [64, 64]}}),
        ("environment.parameters.goal.size=2", {"environment": {"parameters": {"goal.size": 2}}}),
        ('environment.arguments=["--level=3"]', {"environment": {"arguments": ["--level=3"]}}),
        ("policy=", {"policy": ""}),
        ("hyperparameters.lr=NaN", {"hyperparameters": {"lr": "NaN"}}),
    ],
)
def test_values_are_json_or_else_text(setting: str, request_: dict[str, Any]) -> None:
    request: dict[str, Any] = {}
    apply_setting(request, setting)
    assert request == request_


@pytest.mark.parametrize("setting", ["lr", "=3", "a..b=1", ".a=1", "seed.x=1"])
def test_a_setting_that_is_none_is_named(setting: str) -> None:
    with pytest.raises(InputError, match="--set"):
        apply_setting({"seed": 1}, setting)


def test_settings_change_the_file_and_the_option_has_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"policy": "a", "seed": 1, "stop": {"env_steps": 10}}')
    assert training_request(path, ["stop.env_steps=20", "policy=b"], "c") == {
        "policy": "c",
        "seed": 1,
        "stop": {"env_steps": 20},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON: .* line 1, column 2"), ("[]", "no JSON object"), ('{"build": {"key": "k"}}', "names a build")],
)
def test_a_request_file_that_cannot_be_right(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        training_request(path, [], "")


def test_a_request_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        training_request(tmp_path / "none.json", [], "")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_json_has_no_nan(text: str) -> None:
    with pytest.raises(InputError, match="is no JSON number"):
        read_json(text, "The observation")


@given(st.integers(1, 40), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_pauses_are_bounded_and_keep_to_the_server(attempt: int, jitter: float, asked: float | None) -> None:
    policy = RetryPolicy(first_delay_seconds=0.25, longest_delay_seconds=8, longest_wait_seconds=30)
    delay = policy.delay_seconds(attempt, asked, jitter)
    assert 0.125 <= delay <= 30
    assert delay >= min(asked or 0, 30)


def test_pauses_double() -> None:
    assert [RetryPolicy().delay_seconds(attempt) for attempt in range(1, 8)] == [0.25, 0.5, 1, 2, 4, 8, 8]


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:4566/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:80/", True),
        ("http://bucket.localhost:4566", True),
        ("https://abc.execute-api.us-east-1.amazonaws.com/dev", False),
        ("http://10.0.0.1/", False),
    ],
)
def test_proxies_are_for_other_machines(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
