"""The config file: images by repository name, unknown fields refused by name."""

import json
from pathlib import Path

import pytest

from local.images.engine import Engine
from local.sagemaker.config import ServiceConfig, repository_name
from local.sagemaker.errors import ConfigError

DOCUMENT = {"state_dir": "state", "images": {"train:local": {"path": ["/bin"]}}, "emulator_url": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("train", "train"),
        ("train:local", "train"),
        ("team/train:1.2", "team/train"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/train:1", "train"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/train@sha256:00ff", "team/train"),
        ("localhost/train", "train"),
        ("localhost:5000/train:1", "train"),
        ("train@sha256:00ff", "train"),
    ],
)
def test_an_image_is_known_by_its_repository(uri: str, name: str):
    assert repository_name(uri) == name


def test_a_config_says_what_an_image_stands_for():
    config = ServiceConfig.from_document(DOCUMENT)
    assert config.images["train"].path == ("/bin",)
    assert config.state_dir.is_absolute()
    assert config.arn("endpoint", "e") == "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prot": 1}, "prot"),
        ({"timing": {"stop_grace": 1}}, "stop_grace"),
        ({"images": {"a": {"path": [], "env": {}}}}, "env"),
        ({"state_dir": ""}, "state_dir"),
        ({"images": {}}, "images"),
        ({"images": {"a": {"container": "a:1"}}}, "'a' lacks 'path': containers are processes"),
        ({"engine": {"command": ["podman"]}}, "lacks 'container': containers are started by an engine"),
        ({"emulator_url": None}, "AWS_ENDPOINT_URL"),
    ],
)
def test_what_is_wrong_with_a_config_is_named(change: dict, named: str):
    with pytest.raises(ConfigError, match=named):
        ServiceConfig.from_document({**DOCUMENT, **change})


def test_an_engine_starts_containers_from_their_images():
    engine = {"command": ["podman"], "run_options": ["--ulimit", "nofile=1:1"], "environment": {"HOME": "/"}}
    config = ServiceConfig.from_document({**DOCUMENT, "engine": engine, "images": {"a": {"container": "a:1"}}})
    assert config.engine == Engine(("podman",), run_options=("--ulimit", "nofile=1:1"), environment={"HOME": "/"})
    assert config.images["a"].container == "a:1"


def test_the_emulator_may_come_from_the_environment(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value for name, value in DOCUMENT.items() if name != "emulator_url"}))
    assert ServiceConfig.from_file(path, {"AWS_ENDPOINT_URL": "http://e"}).emulator_url == "http://e"
    with pytest.raises(ConfigError, match="emulator_url"):
        ServiceConfig.from_file(path, {})


def test_a_file_that_is_no_json_is_named(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json"):
        ServiceConfig.from_file(path, {})
