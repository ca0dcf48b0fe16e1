import json
from pathlib import Path

import pytest

from gamedojo.connection import Connection, find_connection
from gamedojo.errors import ConnectionSettingsError

FILE = {
    "control_url": "http://127.0.0.1:4566/control",
    "control_key": "ck",
    "predict_url": "http://127.0.0.1:4566/predict",
    "predict_key": "pk",
    "endpoint_url": "http://127.0.0.1:4566",
    "region": "us-east-1",
    "bucket": "builds-bucket",
    "stack_name": "gamedojo-dev",
}


def write(directory: Path, document: object) -> Path:
    path = directory / ".gamedojo" / "connection.json"
    path.parent.mkdir(parents=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_file_is_found_in_the_nearest_directory_above(tmp_path: Path) -> None:
    write(tmp_path, {**FILE, "bucket": "far"})
    write(tmp_path / "a" / "b", {**FILE, "bucket": "near"})
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    assert find_connection({}, deep).bucket == "near"
    assert find_connection({}, tmp_path / "a").bucket == "far"


def test_every_field_of_the_file_is_read_and_later_ones_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, {**FILE, "dashboard_url": "http://later.example", "processes": [1, 2]})
    assert find_connection({}, tmp_path) == Connection(**FILE, source=str(path))


def test_variables_come_before_a_named_file_and_that_before_the_search(tmp_path: Path) -> None:
    write(tmp_path, {**FILE, "control_key": "searched"})
    named = tmp_path / "named.json"
    named.write_text(json.dumps({**FILE, "control_key": "named"}))
    environ = {"GAMEDOJO_CONNECTION": str(named)}
    assert find_connection({}, tmp_path).control_key == "searched"
    assert find_connection(environ, tmp_path).control_key == "named"
    environ |= {"GAMEDOJO_CONTROL_URL": "https://api.example/dev", "GAMEDOJO_CONTROL_KEY": "set"}
    assert find_connection(environ, tmp_path).control_key == "set"


def test_one_url_is_enough(tmp_path: Path) -> None:
    connection = find_connection({"GAMEDOJO_PREDICT_URL": "https://api.example/dev"}, tmp_path)
    assert (connection.predict_url, connection.control_url) == ("https://api.example/dev", "")


def test_nothing_found_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError) as caught:
        find_connection({}, tmp_path)
    assert "gamedojo local up" in caught.value.remedy
    assert "GAMEDOJO_CONTROL_URL" in caught.value.remedy
    assert str(tmp_path) in caught.value.message


def test_a_key_without_a_url_is_named(tmp_path: Path) -> None:
    write(tmp_path, FILE)
    with pytest.raises(ConnectionSettingsError, match="GAMEDOJO_PREDICT_KEY is set"):
        find_connection({"GAMEDOJO_PREDICT_KEY": "pk"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ('{"bucket": "b"}', "neither control_url nor predict_url"),
        ('{"control_url": 7}', "control_url .* is no text"),
        ('{"control_url": "127.0.0.1:80"}', "is no URL"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, what: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConnectionSettingsError, match=what):
        find_connection({}, tmp_path)


def test_a_named_file_that_is_missing_is_an_error_even_if_another_could_be_found(tmp_path: Path) -> None:
    write(tmp_path, FILE)
    with pytest.raises(ConnectionSettingsError, match=r"gone\.json cannot be read"):
        find_connection({"GAMEDOJO_CONNECTION": str(tmp_path / "gone.json")}, tmp_path)


@pytest.mark.parametrize("name", ["control_key", "predict_key"])
@pytest.mark.parametrize("key", ["secret\n", "secret key", "sécret", "secret\0"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(tmp_path: Path, name: str, key: str) -> None:
    """An HTTP library would print it in its own error."""
    write(tmp_path, FILE | {name: key})
    for connect in (lambda: Connection(**{name: key}), lambda: find_connection({}, tmp_path)):
        with pytest.raises(ConnectionSettingsError, match=f"The {name} is no API key") as caught:
            connect()
        assert "cret" not in str(caught.value) + str(caught.value.remedy)


def test_spaces_around_a_variable_are_not_part_of_it(tmp_path: Path) -> None:
    found = find_connection({"GAMEDOJO_CONTROL_URL": "https://control\n", "GAMEDOJO_CONTROL_KEY": " key\n"}, tmp_path)
    assert (found.control_url, found.control_key) == ("https://control", "key")


def test_keys_stay_out_of_representations() -> None:
    assert "secret" not in repr(Connection(control_key="secret", predict_key="secret"))
